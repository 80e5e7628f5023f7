package slacksim

// What a person types, in Slack's notation. docs.slack.dev/messaging/formatting-message-text

import (
	"regexp"
	"strings"

	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

var wireToken = regexp.MustCompile(`<[@#!][^<>]*>`)

// encode turns what a person typed into Slack's notation.
func (s *oauth) encode(userID, text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.world.userLocked(userID); u != nil {
		return s.encodeLocked(text, u.TeamID, false)
	}
	return text
}

// encodeLocked turns what a person typed into Slack's notation: escapes, @name, #channel. Notation already there stays.
// With labels mentions carry the name, as in commands.
func (s *oauth) encodeLocked(text, team string, labels bool) string {
	var b strings.Builder
	last := 0
	for _, at := range wireToken.FindAllStringIndex(text, -1) {
		b.WriteString(s.encodePlainLocked(text[last:at[0]], team, labels))
		b.WriteString(text[at[0]:at[1]])
		last = at[1]
	}
	b.WriteString(s.encodePlainLocked(text[last:], team, labels))
	return b.String()
}

func (s *oauth) encodePlainLocked(text, team string, labels bool) string {
	text = blockkit.Escape(text)
	replace := func(word, id, label string) {
		if word == "@" || word == "#" {
			return
		}
		if labels && label != "" {
			id += "|" + label
		}
		re := regexp.MustCompile(`(?i)(^|[\s(])` + regexp.QuoteMeta(blockkit.Escape(word)) + `($|[^\w-])`)
		// Twice, since a match eats the blank that the next one needs.
		for range 2 {
			text = re.ReplaceAllString(text, "${1}<"+word[:1]+id+">${2}")
		}
	}

	if in := s.installLocked(team); in != nil {
		replace("@"+s.app.Name, in.bot.userID, s.world.botNameLocked())
		replace("@"+s.world.botNameLocked(), in.bot.userID, s.world.botNameLocked())
	}
	for _, u := range s.world.users {
		if u.TeamID == team {
			replace("@"+u.RealName, u.ID, u.Name)
			replace("@"+u.Name, u.ID, u.Name)
		}
	}
	for _, c := range s.world.channels {
		if !c.im && c.inTeam(team) {
			replace("#"+c.Name, c.ID, map[bool]string{true: "", false: c.Name}[c.Private])
		}
	}
	return text
}
