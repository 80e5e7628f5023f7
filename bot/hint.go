package bot

// Hint is one thing that a newcomer can try in the demo of an app: what, in a few words, and how.
type Hint struct{ Title, Text string }
