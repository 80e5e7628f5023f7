package bot

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/words"
)

// Command is a slash command that somebody typed. Request.Text is what stands behind its name, and behind the
// subcommand where the handler is for one.
type Command struct {
	*Request
	responder
	modals
	// Payload is what Slack sent.
	Payload *slack.SlashCommand
	// Args are the words of Text. What stands in quotes is one word.
	Args []string
}

// OnCommand returns a handler of a slash command, named with its slash: "/weather". Describe is needed with it. The
// permission commands follows by itself.
//
// "/standup new" is a subcommand: it runs when the command's text begins so. A command with subcommands answers help
// and what it doesn't know by itself, from their descriptions. A handler of "/standup" takes what no subcommand does;
// one whose run is nil only describes it.
//
// run is called right away, and what it gives Respond is the answer; without one nothing is said. Slack waits for 3 s.
// A handler that has not returned after 2.5 s is answered for, with a sentence that says so, and runs on: its context
// lives as long as Slack takes an answer (29.5 min), and its answer then takes the place of that sentence. Such work is
// kept nowhere: when the program stops, its context ends after 10 s, and the person is told that it was interrupted; if
// the process dies, they hear nothing. Work that must not be lost is for OnCommandAsync.
//
// An error is told to the person and not tried again: a UserError in its own words, any other as "something went wrong"
// with a reference that is in the log, too.
// https://docs.slack.dev/interactivity/implementing-slash-commands
func OnCommand(name string, run func(ctx context.Context, c *Command) error, options ...Option) Handler {
	h := newHandler(KindCommand, name, withCommands(options), func(ctx context.Context, r *Request, payload any) error {
		return run(ctx, &Command{
			Request: r, responder: responder{r}, modals: modals{r}, Payload: payload.(*slack.SlashCommand), Args: r.takeWords(),
		})
	})
	h.describes = run == nil
	return h
}

// AsyncCommand is a Command that is worked from the inbox.
type AsyncCommand struct {
	*Request
	asyncResponder
	sayer
	// Payload is what Slack sent.
	Payload *slack.SlashCommand
	// Args are as Command's.
	Args []string
}

// OnCommandAsync returns a handler of a slash command that is acknowledged right away and runs from the inbox, with the
// promises of OnEvent: it survives the process and can run again, 4 times at most. The person sees nothing until it
// answers, by Respond. Slack takes answers for 30 minutes, 5 of them. With OpensModal it opens a modal first.
func OnCommandAsync(name string, run func(ctx context.Context, c *AsyncCommand) error, options ...Option) Handler {
	h := newHandler(KindCommand, name, withCommands(options), func(ctx context.Context, r *Request, payload any) error {
		return run(ctx, &AsyncCommand{
			Request: r, asyncResponder: asyncResponder{r}, sayer: sayer{r}, Payload: payload.(*slack.SlashCommand),
			Args: r.takeWords(),
		})
	})
	h.async = true
	return h
}

func withCommands(options []Option) []Option {
	return slices.Concat([]Option{Scopes("commands")}, options)
}

// takeWords makes the text what stands behind the handler's subcommand, and returns the words of it.
func (req *Request) takeWords() []string {
	_, sub, _ := strings.Cut(req.handler.Name, " ")
	req.Text, _ = cutWords(req.Text, strings.Fields(sub))
	return wordsOf(req.Text)
}

// cutWords returns what stands behind words at the beginning of a text, if they stand there.
func cutWords(text string, words []string) (rest string, ok bool) {
	rest = strings.TrimSpace(text)
	for _, w := range words {
		end := strings.IndexFunc(rest, unicode.IsSpace)
		if end < 0 {
			end = len(rest)
		}
		if !strings.EqualFold(rest[:end], w) {
			return text, false
		}
		rest = strings.TrimSpace(rest[end:])
	}
	return rest, true
}

// quotes are those that people type, and those that their devices make of them, by what closes them.
var quotes = map[rune]rune{'"': '"', '“': '”', '„': '“', '«': '»'}

// wordsOf are the words of a text; what stands in quotes is one.
func wordsOf(text string) (words []string) {
	var word strings.Builder
	var closing rune
	open := false // a word has begun
	for _, r := range text {
		switch {
		case closing != 0 && (r == closing || r == '"' || r == '”'):
			closing = 0
		case closing != 0:
			word.WriteRune(r)
		case quotes[r] != 0 && word.Len() == 0:
			closing, open = quotes[r], true
		case unicode.IsSpace(r):
			if open {
				words = append(words, word.String())
			}
			word.Reset()
			open = false
		default:
			word.WriteRune(r)
			open = true
		}
	}
	if open {
		words = append(words, word.String())
	}
	return words
}

var commandName = regexp.MustCompile(`^/[a-z0-9_-]{1,31}( [a-z0-9_-]+)*$`)

// checkCommand finds out why a command would never come.
func (h *Handler) checkCommand() error {
	switch {
	case !commandName.MatchString(h.Name):
		return errors.New("a command is a slash and 1 to 31 lower-case letters, digits, - and _; subcommands stand behind " +
			"that, each after a space")
	case h.About == "":
		return errors.New("no description for Slack's menu (Describe)")
	}
	return nil
}

// root is the command that a handler, of a subcommand or not, belongs to.
func (h *Handler) root() string {
	root, _, _ := strings.Cut(h.Name, " ")
	return root
}

// command finds the handler of a command: the one of the longest subcommand that the text begins with, else that of the
// command itself, else its help; nil: there is no such command.
func (r *routes) command(name, text string) (h *Handler) {
	all := r.commands[name]
	most := -1
	for _, other := range all {
		_, sub, _ := strings.Cut(other.Name, " ")
		words := strings.Fields(sub)
		if _, ok := cutWords(text, words); ok && len(words) > most {
			h, most = other, len(words)
		}
	}

	asks := most <= 0 && len(all) > 1 && strings.EqualFold(strings.TrimSpace(text), "help")
	if len(all) > 0 && (asks || most < 0 || h.describes) {
		return helpOf(name, all)
	}
	return h
}

// helpOf is the handler that says what a command with subcommands takes. It needs nothing.
func helpOf(name string, all []*Handler) *Handler {
	h := &Handler{Kind: KindCommand, Name: name, always: true}
	h.run = func(_ context.Context, r *Request, _ any) error {
		return r.record(commandHelp(r.lang(), name, all, strings.TrimSpace(r.Text)))
	}
	return h
}

// commandHelp is what a command takes, with a word about what was typed and isn't known.
func commandHelp(lang *words.Sentences, name string, all []*Handler, typed string) Reply {
	var first []string
	if word, _, _ := strings.Cut(typed, " "); word != "" && !strings.EqualFold(word, "help") {
		word = mrkdwn.Escape(mrkdwn.Clip(word, mrkdwn.MaxName))
		first = append(first, lang.Say("bot.unknown_word", "word", word))
	}

	var lines []string
	for _, h := range all {
		if h.describes {
			first = append(first, mrkdwn.Escape(strings.TrimSuffix(h.About, "."))+".")
			continue
		}
		usage := strings.TrimSpace(h.Name + " " + h.Usage)
		lines = append(lines, lang.Say("bot.help_line", "usage", mrkdwn.Escape(usage), "about", mrkdwn.Escape(h.About)))
	}
	first = append(first, lang.Say("bot.help", "command", name))
	return Reply{Text: strings.Join(append([]string{strings.Join(first, " ")}, lines...), "\n")}
}

// manifestCommands are the commands as a manifest has them, each once, in the order of their names.
func manifestCommands(handlers []Handler, requests string) (all []slack.ManifestSlashCommand) {
	at := map[string]int{}
	subs := map[string][]string{}
	for _, h := range handlers {
		if h.Kind != KindCommand {
			continue
		}
		name := h.root()
		i, known := at[name]
		if !known {
			i = len(all)
			at[name] = i
			all = append(all, slack.ManifestSlashCommand{
				Command: name, Url: requests, Description: h.About, UsageHint: h.Usage, ShouldEscape: true,
			})
		}

		if h.Name == name {
			all[i].Description, all[i].UsageHint = h.About, h.Usage
		} else if word := strings.Fields(h.Name)[1]; !slices.Contains(subs[name], word) {
			subs[name] = append(subs[name], word)
		}
	}

	for name, words := range subs {
		if c := &all[at[name]]; !slices.ContainsFunc(handlers, func(h Handler) bool {
			return h.Kind == KindCommand && h.Name == name && h.Usage != ""
		}) {
			c.UsageHint = "[" + strings.Join(append(words, "help"), " | ") + "]"
		}
	}
	slices.SortFunc(all, func(a, b slack.ManifestSlashCommand) int { return strings.Compare(a.Command, b.Command) })
	return all
}
