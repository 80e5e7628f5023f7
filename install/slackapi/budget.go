package slackapi

// Calls that all processes of an app make together are counted in one place, the store.

import (
	"time"
)

// Budget bounds calls that all processes make together.
type Budget struct {
	Name     string
	Interval time.Duration // one call each
	Burst    int           // calls that may come at once after a pause
	Whole    int           // the largest Burst of those that share Name; 0: this one
}
