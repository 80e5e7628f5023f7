// Package seal seals secrets with keys that are not in the database: a copy of it, stolen or thrown away carelessly,
// must not be a list of working tokens.
//
//	keys, err := seal.ParseKeys(newest + "," + older) // the first seals, all of them open
//	at := seal.Place{Column: "connections.token", App: "A1", Team: "T1"}
//	box, err := keys.Seal([]byte("xoxb-…"), at)
//	secret, err := keys.Open(box, at)                 // ErrSealed in any other place
package seal
