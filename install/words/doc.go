// Package words holds what the library says to people, in Slack and on the pages of an install: every sentence under a
// key, with its parameters named. English is built in, a file for each room of the house in the folder english. An app
// replaces any or all of them, with another language or another tone:
//
//	//go:embed german.yaml
//	var german []byte
//
//	func main() {
//		said, err := words.Parse("de", german)
//		if err != nil {
//			log.Fatal(err)
//		}
//		switchboard.App{Name: "Hallo", Words: said, Handlers: handlers}.Main()
//	}
//
// and in german.yaml, what differs:
//
//	lists:
//	  two: "{first} und {last}"
//
// A sentence that counts something has the forms of its language, which https://cldr.unicode.org names:
//
//	installed:
//	  one: "{count} workspace has it."
//	  other: "{count} workspaces have it."
package words
