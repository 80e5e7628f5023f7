// Package web is the chat of the small Slack: pages on which people sign in, write, press buttons and install the app,
// as they would in Slack.
//
//	sim := slacksim.New(slacksim.Config{App: app, Pages: web.Pages(
//		web.Hint{Title: "Ask it something", Text: "Write “help” to it in a direct message."},
//	)})
//	sim.AddSmallWorld()
//	if err := sim.Start("127.0.0.1:4000"); err != nil {
//		return err
//	}
//	fmt.Println("open", sim.URL())
//
// Its forms do what the methods of the same name do in a test: it looks at the Sim and acts in it through what the Sim
// offers everybody. The pages work with plain forms and links. The script only makes them live.
//
// # Addresses
//
//	/                                   who is who; POST /signin signs in as a person
//	/client/{team}/{channel}            a conversation, as the signed-in person of that workspace
//	/client/{team}/home                 the app's Home tab; …/dm its messages; …/about its About tab
//	/client/{team}/app                  the app's page: Add to Slack, Remove App; …/permissions takes one away,
//	                                    …/step runs a step of a workflow
//	/manage/{organisation}/…/{app}/…    which workspaces of an organisation have its app, for its admins
//	/app/{app}                          the same page, for the workspace last looked at
//	/app_redirect?team=T…[&channel=C…]  the conversation with the app, or a channel, as on slack.com
//	/oauth/v2/authorize                 the consent page
//	/live?at=…                          what changes on a page of the client, as Server-Sent Events
package web
