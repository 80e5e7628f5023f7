package markdown

import (
	"regexp"
	"slices"
)

// joiner is a character of no width (U+2060), behind which Slack sees no mention.
const joiner = "\u2060"

// mention finds what Slack could read as a mention once Markdown is taken off it: of a person, a channel, or many
// people at the same time, also where the sign behind the bracket is escaped. Dates and links are none.
var mention = regexp.MustCompile(`(?i)(<|&lt;|&#0*60;|&#x0*3c;)(\\?)` +
	`((?:@|&commat;|&#0*64;|&#x0*40;)([A-Z0-9]*)|(?:#|&num;|&#0*35;|&#x0*23;)([A-Z0-9]*)|` +
	`(?:!|&excl;|&#0*33;|&#x0*21;)(channel|here|everyone|group|subteam\^[A-Z0-9]*))`)

// Harmless is src in which only those are mentioned who are named: by their id (U…, W…, C…, S…), or as channel, here
// and everyone. All other mentions are words that look the same.
func Harmless(src string, mentions []string) string {
	return mention.ReplaceAllStringFunc(src, func(found string) string {
		part := mention.FindStringSubmatch(found)
		id := part[4] + part[5] + part[6]
		if len(id) > len("subteam^") && id[:len("subteam^")] == "subteam^" {
			id = id[len("subteam^"):]
		}
		if id != "" && slices.Contains(mentions, id) {
			return found
		}
		return part[1] + joiner + part[2] + part[3]
	})
}
