package bot

// Hint is one thing that a newcomer can try in the demo of an app.
type Hint struct {
	Title string // what, in a few words
	Text  string // how: what to type or to press, as plain text
}
