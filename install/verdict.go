package install

// verdict is an answer that may have to wait.
type verdict int

// The verdicts.
const (
	verdictUnclear verdict = iota
	verdictYes
	verdictNo
)

// String is the verdict in a word.
func (v verdict) String() string { return [...]string{"unclear", "yes", "no"}[v] }
