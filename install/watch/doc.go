// Package watch looks after connections once they are there: it says whether they work, asks Slack about them now and
// then, listens to what every call says of them, writes to one person when a connection needs one, and follows what
// becomes of them at Slack, from a workspace that joins an organisation to one that removes the app.
//
//	w := watch.New(watch.Config{…})
//	go func() { ended <- w.Run(ctx) }()
//
//	c, err := w.Connections.Open(ctx, key)              // with a token that works now
//	h := w.Connections.Check(ctx, key)                  // how it is, in words for people
//	err = w.Lifecycle.HandleRemoval(ctx, key, said)     // Slack says that it is gone
//	said, err := w.Leaving.Disconnect(ctx, key, person) // and somebody wants it gone
//
// Nothing but Slack's own word changes what is known of a connection: an event can be late, or about the install
// before, so the token is asked. Of any number of replicas one asks, and one writes to a person.
package watch
