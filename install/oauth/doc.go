// Package oauth takes a browser through an install: from our start page to Slack, where a person allows the app, and
// back with a code that is spent for tokens. The same pages reconnect, allow more and take an install back.
//
//	flow := oauth.New(oauth.Config{…})
//	mux.Handle("/", flow.Handler())                  // GET / and /slack/install, the callback, POST /slack/undo
//	stored, fate, err := flow.Bring(ctx, grant)      // of a consent that the store could not take when it was given
//
// Until Slack sends a browser back there is no row, no lock and no call: all that was wanted stands in the signed
// state. It works once, in the browser that began, for ten minutes. Every try ends on a page that says what happened,
// what did not change and one next step, and the record of it (Attempt) is what a reload is answered from.
package oauth
