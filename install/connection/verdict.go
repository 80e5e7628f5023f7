package connection

// Verdict is an answer that may have to wait.
type Verdict int

// The verdicts.
const (
	VerdictUnclear Verdict = iota
	VerdictYes
	VerdictNo
)

// String is the verdict in a word.
func (v Verdict) String() string { return [...]string{"unclear", "yes", "no"}[v] }
