// Package connection gives a bot a command that answers the four questions of a workspace admin: is it working, what
// can it do, who put it here, how do I remove it? Its name is the bot's to choose. Slack runs one command of a name in
// a workspace, so a name with the app's in it is safe from another bot that has the command, too.
//
//	status := connection.Command{Name: "/hello-status"}
//	switchboard.App{
//		Name:     "Hello",
//		Handlers: append(status.Handlers(), hello),
//		Commands: status.Commands(), // the pages tell people of it
//		Messages: status.Messages,   // and so does the welcome, with a button that tries it
//	}.Main()
//
// Everybody in the workspace can ask. Buttons, history, reconnecting and disconnecting are for the person who installed
// the app and for admins, which Slack is asked about each time. It works without access, too, and says what to do then.
package connection
