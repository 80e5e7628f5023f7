package connection

// What people can ask for. One list serves the command, the direct message, the mention, the help and the hint in
// Slack's menu, so that a word means the same everywhere.

import (
	"context"
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
	"github.com/switchboard-go/switchboard/install/words"
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
	name     string   // what buttons stand for, and the key of the sentences about it
	typed    string   // what people read that they can type
	also     []string // what else is understood: the English words, too, where the app has others
	shared   bool     // may be answered where everybody in a channel reads along
	acts     bool     // does something by itself, so a sentence that merely holds the word is not meant
	courtesy bool     // is said besides what is meant, and in no list
	answer   func(ctx context.Context, t turn, a ask) bot.Reply
}

// means reports whether somebody who types s, in small letters, means the word.
func (w word) means(s string) bool { return s == w.typed || slices.Contains(w.also, s) }

// vocabulary returns all words as an app says them, in the order in which help lists them.
func vocabulary(said *words.Sentences) []word {
	all := []word{
		{name: "status", shared: true, answer: status},
		{name: "details", answer: details},
		{name: "check", shared: true, answer: check},
		{name: "permissions", answer: permissions},
		{name: "channels", answer: channels},
		{name: "history", answer: history},
		{name: "reconnect", answer: reconnect},
		{name: "test", answer: test, acts: true},
		{name: "support", answer: support},
		{name: "disconnect", answer: disconnect},
		{name: "help", shared: true, answer: help},
		{name: "hello", shared: true, courtesy: true, answer: hello},
		{name: "thanks", shared: true, courtesy: true, answer: thanks},
	}
	for i := range all {
		key := "connection.typed." + all[i].name
		own, english := typedWords(said.Say(key)), typedWords((*words.Sentences)(nil).Say(key))
		for _, w := range english {
			if !slices.Contains(own, w) {
				own = append(own, w)
			}
		}
		all[i].typed, all[i].also = own[0], own[1:]
	}
	return all
}

// typedWords are those of one line of the sentences, in small letters.
func typedWords(line string) []string {
	return strings.FieldsFunc(strings.ToLower(line), func(r rune) bool { return r == ',' || r == ' ' })
}

// usage is the hint that Slack shows behind the command.
func usage(said *words.Sentences) string {
	var typed []string
	for _, w := range vocabulary(said) {
		if !w.courtesy {
			typed = append(typed, w.typed)
		}
	}
	return "[" + strings.Join(typed, " | ") + "]"
}

// getWord returns the word of a name.
func getWord(said *words.Sentences, name string) (word, bool) {
	for _, w := range vocabulary(said) {
		if w.name == name {
			return w, true
		}
	}
	return word{}, false
}

// lookupWord returns the word that a text means, and what else was said. What is typed first counts if it is one of the
// words that people read, then any in a sentence, and a courtesy last.
func lookupWord(of *words.Sentences, said []string) (w word, rest []string, ok bool) {
	if len(said) == 0 {
		return word{}, nil, false
	}
	known := vocabulary(of)
	without := func(i int) []string { return slices.Delete(slices.Clone(said), i, i+1) }
	for _, w := range known {
		if first := strings.ToLower(said[0]); !w.courtesy && (first == w.typed || first == w.name) {
			return w, without(0), true
		}
	}

	var polite word
	for i, s := range said {
		for _, w := range known {
			switch {
			case !w.means(strings.ToLower(s)), w.acts && i > 0:
			case !w.courtesy:
				return w, without(i), true
			case polite.name == "":
				polite = w
			}
		}
	}
	return polite, nil, polite.name != ""
}

// word is what people read that they can type for the word of a name.
func (t turn) word(name string) string {
	w, _ := getWord(t.words(), name)
	return w.typed
}

// typed is the command with the word of a name.
func (t turn) typed(name string) string { return t.command.Name + " " + t.word(name) }

// What Slack writes between angle brackets, mentions, channels and links, which it also makes of what looks like one;
// and emoji.
// https://docs.slack.dev/messaging/formatting-message-text
var (
	slackMarkup = regexp.MustCompile(`<([^<>|]*)(?:\|([^<>]*))?>`)
	emoji       = regexp.MustCompile(`(?:^|\s)(?::[a-z0-9_'+-]+:)+`)
	urlScheme   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:(?://)?`)
)

// heard is what a text says besides whom it is for, one space between words: as people write them and copy them from
// help, in quotes, brackets or formatting, with a mark behind, as a link that Slack made of one, behind the command or
// the app's name. Case stays. What comes out goes in again unchanged.
func heard(text string, names ...string) string {
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
		name := strings.Fields(heard(n))
		if _, _, means := lookupWord(nil, name); !means && len(name) > 0 {
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
	said := strings.Fields(heard(text, t.command.Name, t.Install.App().Name))
	w, rest, ok := lookupWord(t.words(), said)
	switch {
	case len(said) == 0 && to == private:
		return status(ctx, t, ask{to: to})
	case len(said) == 0: // a mention alone, or an emoji
		return hello(ctx, t, ask{to: to})
	case !ok:
		return notUnderstood(t, said, to)
	case to == public && !w.shared:
		return bot.Reply{Text: t.say("help.private", "typed", t.command.Name+" "+w.typed)}
	}
	return w.answer(ctx, t, ask{to: to, rest: rest})
}

// plainWord is what can be repeated to a person as it was typed: no mention, no markup.
var plainWord = regexp.MustCompile(`^[\p{L}\p{N}_-]{1,40}$`)

// notUnderstood says what was not understood, and what may have been meant. It only suggests: a misspelt word does
// nothing.
func notUnderstood(t turn, said []string, to audience) bot.Reply {
	const few = 3 // words; more is a sentence, of which no word is likely to be a misspelt one of ours
	key, near := "help.unclear", word{}
	if len(said) < few && plainWord.MatchString(said[0]) {
		key = "help.unknown"
		if w, ok := nearest(t.words(), strings.ToLower(said[0])); ok {
			key, near = "help.near", w
		}
	}

	params := []any{"word", said[0], "near", near.typed}
	for _, name := range []string{"status", "permissions", "channels", "check", "help"} {
		params = append(params, name, t.word(name))
	}
	if to == public {
		return paragraph(t.say(key+"_public", params...))
	}
	return paragraph(t.say(key, params...), slack.NewActionBlock("", offerButtons(t)...))
}

// offerButtons are the words that help most, to be pressed.
func offerButtons(t turn) []slack.BlockElement {
	var buttons []slack.BlockElement
	for _, name := range offers {
		buttons = append(buttons, mrkdwn.Button(actionOffered+name, capital(t.word(name)), ""))
	}
	return buttons
}

// nearest returns the known word that s is most likely a slip of: at most two slips away, and not more than half the
// word.
func nearest(said *words.Sentences, s string) (found word, ok bool) {
	least := min(2, len([]rune(s))/2) + 1
	for _, w := range vocabulary(said) {
		for _, name := range append([]string{w.typed}, w.also...) {
			if d := edlib.OSADamerauLevenshteinDistance(s, name); d < least && !w.courtesy {
				found, least, ok = w, d, true
			}
		}
	}
	return found, ok
}

// hello greets, and says in one sentence what the app is for.
func hello(_ context.Context, t turn, a ask) bot.Reply {
	text := t.say("help.hello", "person", mrkdwn.Person(t.UserID))
	if t.UserID == "" {
		text = ""
	}
	summary := mrkdwn.Escape(mrkdwn.Clip(t.Install.App().Summary, maxSentence))
	if text = sentences(text, summary); text == "" {
		return listed(t)
	}
	if a.to == public {
		return paragraph(sentences(text, more(t, "help", "help.ask")))
	}
	return paragraph(text, slack.NewActionBlock("", offerButtons(t)...))
}

// thanks answers those who are polite.
func thanks(_ context.Context, t turn, _ ask) bot.Reply {
	return bot.Reply{Text: t.say("help.welcome")}
}

// help lists the words, or says more about the one that is named.
func help(_ context.Context, t turn, a ask) bot.Reply {
	if len(a.rest) == 0 {
		return listed(t)
	}
	w, _, ok := lookupWord(t.words(), a.rest)
	switch {
	case !ok:
		return notUnderstood(t, a.rest, a.to)
	case w.courtesy:
		return listed(t)
	}
	params := []any{"typed", before(t) + w.typed, "does", t.say("does." + w.name), "more", t.say("more." + w.name)}
	return bot.Reply{
		Text:   t.say("help.one_spoken", params...),
		Blocks: []slack.Block{mrkdwn.Section(t.say("help.one", params...))},
	}
}

// listed lists what can be typed.
func listed(t turn) bot.Reply {
	intro := t.say("help.intro")
	text := []string{intro}
	if t.canType() {
		text = append(text, t.say("help.example", "command", t.command.Name, "word", t.word("help")))
	}
	var list []string
	for _, w := range vocabulary(t.words()) {
		if w.courtesy {
			continue
		}
		does := t.say("does." + w.name)
		text = append(text, t.say("help.spoken_line", "word", w.typed, "does", does))
		list = append(list, t.say("help.line", "typed", before(t)+w.typed, "does", does))
	}

	blocks := []slack.Block{mrkdwn.Section(intro), mrkdwn.Section(strings.Join(list, "\n"))}
	if elsewhere := elsewhere(t); elsewhere != "" {
		text, blocks = append(text, elsewhere), append(blocks, mrkdwn.Section(elsewhere))
	}
	return bot.Reply{Text: sentences(text...), Blocks: blocks}
}

// canType reports whether the command answers: not if it is known not to be allowed.
func (t turn) canType() bool { return t.Connection.ID == "" || allowed(t.Connection, "commands") }

// canWrite reports whether direct messages are answered.
func (t turn) canWrite() bool { return t.Client != nil && t.command.hears(t.Connection) }

// before is what is typed before a word: the command, unless it doesn't answer.
func before(t turn) string {
	if t.canType() {
		return t.command.Name + " "
	}
	return ""
}

// more says how the word of a name is asked for: the sentence of a key where the command answers, or that of
// key_message where a direct message does. "" where nothing would.
func more(t turn, name, key string) string {
	switch {
	case t.canType():
		return t.say(key, "typed", t.typed(name))
	case t.canWrite():
		return t.say(key+"_message", "word", t.word(name))
	}
	return ""
}

// elsewhere says where else the words work, which takes access and permissions.
func elsewhere(t turn) string {
	var places []string
	if t.canWrite() {
		places = append(places, t.say("help.in_messages"))
	}
	if t.Client != nil && t.command.hearsMentions(t.Connection) {
		places = append(places, t.say("help.in_mentions", "status", t.word("status"), "check", t.word("check"),
			"help", t.word("help")))
	}
	return sentences(places...)
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
