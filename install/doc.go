// Package install decides who is connected: it sends people through Slack's OAuth pages, keeps exactly one connection
// for each workspace, and says in one place whether a connection works.
//
//	in, err := install.New(install.Config{
//		App: install.App{Name: "Hello"}, ClientID: "123.456", ClientSecret: secret,
//		PublicURL: "https://bot.example.com", Store: db, SigningKeys: db.SigningKeys(),
//	})
//	mux.Handle("/", in.Handler())         // the pages: install, callback, undo
//	go func() { ended <- in.Run(ctx) }()  // renews tokens, checks connections, tells people, removes what is over
//
//	c, err := in.Open(ctx, key)           // a connection whose token works now, or why there is none
//	channels, _, err := in.Client(c).GetConversationsContext(ctx, &slack.GetConversationsParameters{})
//	h := in.Check(ctx, key)               // how it is, in the same words everywhere
//
// It tells nothing to people by itself: the pages show Config.App, and the messages are Config.Messages. What it keeps
// it keeps in a Store, which package storage is.
package install
