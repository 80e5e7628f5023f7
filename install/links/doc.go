// Package links makes and checks what is signed: the links that ask a person to connect, reconnect or allow more, the
// state that goes to Slack and back with a browser, and the button that undoes an install.
//
//	l := &links.Links{PublicURL: "https://bot.example.com", Keys: db.SigningKeys(), Now: db.Now}
//	page := l.Grant(c, links.GrantRequest{Scopes: []string{"reactions:write"}})
//	ok := l.Verify("grant", signed, &link) // whichever replica made it
//
// All that is wanted stands in the text itself, so that a link can be made while the database is down. It is signed
// with a key derived from the app's own, so that any replica verifies it. It works once and not for long: that it was
// used is the store's to remember.
package links
