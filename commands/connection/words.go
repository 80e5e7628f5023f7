package connection

// What people can ask for. One list serves the command, the direct message, the mention, the help and the hint in
// Slack's menu, so that a word means the same everywhere.

import (
	"context"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hbollon/go-edlib"
	"github.com/slack-go/slack"
	"golang.org/x/text/unicode/norm"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

// audience is who reads an answer.
type audience int

const (
	private audience = iota // only the person who asked
	direct                  // the direct message with the app
	public                  // everybody in a channel: no buttons, no facts for admins
)

// ask is one question as a word gets it.
type ask struct {
	to   audience
	rest []string // what was said besides the word, in order
	is   standing // what the person is, if that was asked already; else unknown
}

// word is one thing that can be asked for.
type word struct {
	name   string
	also   []string // what people say instead
	does   string   // for the list: what it shows or does
	more   string   // for help on it: what to expect, in whole sentences
	shared bool     // may be answered where everybody in a channel reads along
	acts   bool     // does something at once, so a sentence that merely holds the word is not meant
	answer func(ctx context.Context, t turn, a ask) bot.Reply
}

// vocabulary returns all words, in the order in which help lists them.
func vocabulary() []word {
	return []word{
		{
			name: "status", also: []string{"working", "works", "state"}, shared: true, answer: status,
			does: "whether it works here, and who can fix it if it doesn't",
			more: "It shows right away what our records say, and a moment later what Slack says. Everybody " +
				"can read it. *Details* shows all that is known.",
		},
		{
			name: "details", also: []string{"verbose", "facts"}, answer: details,
			does: "who put it here, what it can do, and everything else that is known",
			more: "It is status with all that is known: who installed it, what is allowed, how its access is kept " +
				"fresh, which data is kept, and how to remove it. Guests only see the state.",
		},
		{
			name: "check", also: []string{"recheck", "ping"}, shared: true, answer: check,
			does: "asks Slack right now whether it works",
			more: "Slack is asked at most every 10 seconds for one workspace; in between you get the last " +
				"answer, with its time.",
		},
		{
			name: "permissions", also: []string{"permission", "allowed", "scopes", "rights"}, answer: permissions,
			does: "what it can do and why, and what it can't because something isn't allowed",
			more: "Each permission is listed with its reason. Admins and the person who installed it get a " +
				"button for each one that is missing.",
		},
		{
			name: "channels", also: []string{"channel"}, answer: channels,
			does: "which channels it is in, and how to add it to one",
			more: "You see how many private channels it is in, and the names of those you're in too.",
		},
		{
			name: "history", also: []string{"changes", "log"}, answer: history,
			does: "what happened to it, when, and who did it",
			more: "It is for the person who installed it and for admins, and shows the newest changes first.",
		},
		{
			name: "reconnect", also: []string{"connect", "reinstall", "install"}, answer: reconnect,
			does: "a link that connects it again",
			more: "It is for the person who installed it and for admins. Nothing happens before you agree " +
				"on Slack's page.",
		},
		{
			name: "test", answer: test, acts: true,
			does: "sends you a test message",
			more: "It is for the person who installed it and for admins, and writes to nobody else. It " +
				"shows that the app can send messages here.",
		},
		{
			name: "support", also: []string{"contact"}, answer: support,
			does: "who runs this app, and what to tell them",
			more: "It has a link to the people who run the app, and details to copy for them. No secret is " +
				"in the details.",
		},
		{
			name: "disconnect", also: []string{"uninstall", "remove", "delete"}, answer: disconnect,
			does: "removes it from Slack; you see what will happen and confirm first",
			more: "It is for the person who installed it and for admins. A window lists what will happen; " +
				"nothing happens before you press its button.",
		},
		{
			name: "help", also: []string{"hi", "hello", "hey", "thanks", "thank"}, shared: true, answer: help,
			does: "this list; `help disconnect` says more about one word",
			more: "It lists the words, or says more about the one you name.",
		},
	}
}

// usage is the hint that Slack shows behind the command.
func usage() string {
	var names []string
	for _, w := range vocabulary() {
		names = append(names, w.name)
	}
	return "[" + strings.Join(names, " | ") + "]"
}

func getWord(name string) (word, bool) {
	for _, w := range vocabulary() {
		if w.name == name {
			return w, true
		}
	}
	return word{}, false
}

// lookupWord returns the word that a text means, and what else was said. A word at the beginning counts first, then one
// in a sentence, and a greeting last.
func lookupWord(said []string) (w word, rest []string, ok bool) {
	without := func(i int) []string { return slices.Delete(slices.Clone(said), i, i+1) }
	if len(said) == 0 {
		return word{}, nil, false
	}
	if w, ok := getWord(strings.ToLower(said[0])); ok {
		return w, without(0), true
	}
	greeting := -1
	for i, s := range said {
		s = strings.ToLower(s)
		for _, w := range vocabulary() {
			other := slices.Contains(w.also, s)
			switch {
			case w.name != s && !other, w.acts && i > 0:
			case w.name == "help" && other:
				greeting = i
			default:
				return w, without(i), true
			}
		}
	}
	if greeting >= 0 {
		w, ok = getWord("help")
		return w, nil, ok
	}
	return word{}, nil, false
}

// What Slack writes between angle brackets, mentions, channels and links, which it also makes of what looks like one;
// and emoji.
// https://docs.slack.dev/messaging/formatting-message-text
var (
	slackMarkup = regexp.MustCompile(`<([^<>|]*)(?:\|([^<>]*))?>`)
	emoji       = regexp.MustCompile(`(?:^|\s)(?::[a-z0-9_'+-]+:)+`)
	urlScheme   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:(?://)?`)
)

// words is what a text says besides whom it is for, one space between words: as people write them and copy them from
// help, in quotes, brackets or formatting, with a mark behind, as a link that Slack made of one, behind the command or
// the app's name. Case stays. What comes out goes in again unchanged.
func words(text string, names ...string) string {
	text = slackMarkup.ReplaceAllStringFunc(text, func(s string) string {
		m := slackMarkup.FindStringSubmatch(s)
		switch {
		case strings.HasPrefix(m[1], "@"), strings.HasPrefix(m[1], "!"):
			return " "
		case m[2] != "":
			return " " + m[2] + " "
		case strings.HasPrefix(m[1], "#"):
			return " "
		}
		return " " + urlScheme.ReplaceAllString(m[1], "") + " "
	})
	text = emoji.ReplaceAllString(text, " ")
	text = norm.NFKC.String(visible(html.UnescapeString(text))) // full-width and ornamental letters are letters

	var said []string
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return !inWord(r) }) {
		// Marks that stand inside of words are formatting at their ends.
		if w = strings.TrimFunc(w, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) }); w != "" {
			said = append(said, w)
		}
	}

	return strings.Join(withoutNames(said, names), " ")
}

// withoutNames is said without the names at its beginning: people also type the command's, or the app's, where that is
// not needed. A name that is one of our words is kept.
func withoutNames(said, names []string) []string {
	var addressed [][]string
	for _, n := range names {
		name := strings.Fields(words(n))
		if _, _, means := lookupWord(name); !means && len(name) > 0 {
			addressed = append(addressed, name)
		}
	}

	for again := true; again; {
		again = false
		for _, name := range addressed {
			if len(said) >= len(name) && slices.EqualFunc(said[:len(name)], name, strings.EqualFold) {
				said, again = said[len(name):], true
			}
		}
	}
	return said
}

// visible is text without what takes no room: zero-width characters, soft hyphens, marks of direction.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) {
			return -1
		}
		return r
	}, text)
}

// inWord reports whether r can stand inside of a word.
func inWord(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r) || strings.ContainsRune("-_'’", r)
}

// answer finds the answer to what was said. It never fails: what cannot be found out is said.
func answer(ctx context.Context, t turn, text string, to audience) bot.Reply {
	said := strings.Fields(words(text, t.command.Name, t.Install.App().Name))
	w, rest, ok := lookupWord(said)
	switch {
	case len(said) == 0 && to == private:
		return status(ctx, t, ask{to: to})
	case len(said) == 0:
		return listed(t)
	case !ok:
		return notUnderstood(said, to)
	case to == public && !w.shared:
		return bot.Reply{Text: fmt.Sprintf("I only answer that privately. Type %s %s.", t.command.Name, w.name)}
	}
	return w.answer(ctx, t, ask{to: to, rest: rest})
}

// plainWord is what can be repeated to a person as it was typed: no mention, no markup.
var plainWord = regexp.MustCompile(`^[\p{L}\p{N}_-]{1,40}$`)

// notUnderstood says what was not understood, and what may have been meant. It only suggests: a misspelt word does
// nothing.
func notUnderstood(said []string, to audience) bot.Reply {
	const few = 3 // words; more is a sentence, of which no word is likely to be a misspelt one of ours
	text := "I don't understand that."
	if len(said) < few && plainWord.MatchString(said[0]) {
		text = "I don't know “" + said[0] + "”."
		if w, ok := nearest(strings.ToLower(said[0])); ok {
			text += " Did you mean `" + w.name + "`?"
		}
	}

	if to == public {
		text += " Try `status`, `check` or `help`."
		return paragraph(text)
	}

	text += " Try `status`, `permissions`, `channels` or `help`."
	var buttons []slack.BlockElement
	for _, word := range offers {
		buttons = append(buttons, mrkdwn.Button(actionOffered+word, capital(word), ""))
	}
	return paragraph(text, slack.NewActionBlock("", buttons...))
}

// nearest returns the known word that s is most likely a slip of: at most two slips away, and not more than half the
// word.
func nearest(s string) (found word, ok bool) {
	least := min(2, len([]rune(s))/2) + 1
	for _, w := range vocabulary() {
		for _, name := range append([]string{w.name}, w.also...) {
			if d := edlib.OSADamerauLevenshteinDistance(s, name); d < least {
				found, least, ok = w, d, true
			}
		}
	}
	return found, ok
}

// The answer to help, to a greeting, and to anything not understood.

// help lists the words, or says more about the one that is named.
func help(_ context.Context, t turn, a ask) bot.Reply {
	if len(a.rest) == 0 {
		return listed(t)
	}
	w, _, ok := lookupWord(a.rest)
	if !ok {
		return notUnderstood(a.rest, a.to)
	}
	typed := before(t) + w.name
	return bot.Reply{
		Text:   fmt.Sprintf("%s: %s. %s", typed, w.does, w.more),
		Blocks: []slack.Block{mrkdwn.Section(fmt.Sprintf("`%s`  %s.\n%s", typed, w.does, w.more))},
	}
}

// listed lists what can be typed.
func listed(t turn) bot.Reply {
	intro := "Here is what you can ask " + t.app() + "."
	text, list, typed := intro, "", before(t)
	if typed != "" {
		text += fmt.Sprintf(" Type %[1]s and one of these words, for example %[1]s help.", t.command.Name)
	}
	for _, w := range vocabulary() {
		text += fmt.Sprintf(" %s: %s.", w.name, w.does)
		list += fmt.Sprintf("`%s%s`  %s\n", typed, w.name, w.does)
	}

	blocks := []slack.Block{mrkdwn.Section(intro), mrkdwn.Section(strings.TrimSpace(list))}
	if elsewhere := elsewhere(t); elsewhere != "" {
		text, blocks = text+" "+elsewhere, append(blocks, mrkdwn.Section(elsewhere))
	}
	return bot.Reply{Text: text, Blocks: blocks}
}

// before is what is typed before a word: the command, unless it is known not to be allowed.
func before(t turn) string {
	if t.Connection.ID == "" || allowed(t.Connection, "commands") {
		return t.command.Name + " "
	}
	return ""
}

// asking says how a word is asked for, in the middle of a sentence: "type /hello-status status"; "" where nothing would
// answer.
func asking(t turn, words string) string {
	switch {
	case before(t) != "":
		return "type " + before(t) + words
	case t.Client != nil && t.command.hears(t.Connection):
		return "write “" + words + "” to me in a direct message"
	}
	return ""
}

// more is asking as a sentence to go behind another: " Type /hello-status status to see more."
func more(t turn, words, what string) string {
	how := asking(t, words)
	if how == "" {
		return ""
	}
	return " " + capital(how) + " " + what + "."
}

// elsewhere says where else the words work, which takes access and permissions.
func elsewhere(t turn) string {
	var places []string
	if t.Client != nil && t.command.hears(t.Connection) {
		places = append(places, "The same words work in a direct message with me.")
	}
	if t.Client != nil && t.command.hearsMentions(t.Connection) {
		places = append(places, "After you mention me in a channel, `status`, `check` and `help` work, too.")
	}
	return strings.Join(places, " ")
}

// allowed reports whether c has all of these permissions.
func allowed(c connection.Connection, scopes ...string) bool {
	return !slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(c.Scopes, s) })
}

// capital is s as the beginning of a sentence.
func capital(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:]
}
