// Package messages has what any app can say to people about its connection: a welcome to whoever installed it, that it
// needs reconnecting, that somebody wanted what it isn't allowed to do, and that all is well again. It is what an app
// gets that has no Messages of its own; one that has more to say embeds it:
//
//	type mine struct{ messages.Messages }
//
//	func (m mine) Welcome(
//		ctx context.Context, client *slack.Client, c connection.Connection, grantURL string,
//	) error { … }
//
// Who gets a message, and how often, is decided in package install.
package messages
