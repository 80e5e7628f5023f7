package commands

// /poll asks a question that people answer with buttons, and shows the result in the message as it grows.
//
// A poll is a few values in the Store of the workspace that it was asked in: the poll itself, one ballot for each
// person who voted, and when the message was brought up to date last. So people who vote at the same time write
// different values. The message is counted anew from the ballots each time, by a timer: it survives the process, and a
// burst of votes has two or three of them. What a press says (its ballot, or that it is too late) goes by the time at
// which it was pressed, because presses come from the inbox, where they can overtake each other and be worked again.

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	mathrand "math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

const (
	pollQuestion = 300 // characters
	pollOption   = 75
	pollOptions  = 10
	pollNames    = 20 // are shown below an option

	// A poll that nobody closes is closed after this long.
	pollLife = 30 * 24 * time.Hour
	// Who voted is deleted this long after a poll was closed. Until then votes that came in time can still be counted.
	pollGrace = 10 * time.Minute
	// A closed poll is remembered this long, for those who still press a button of it.
	pollMemory = 30 * 24 * time.Hour
	// What couldn't be posted is kept this long.
	pollDraft = 24 * time.Hour
	// A message is changed this seldom. Slack takes 50 changes a minute of all messages in a workspace.
	pollGap = 2 * time.Second
	// Two presses of one button within this time are a double click, which counts as one.
	pollDoubleClick = 2 * time.Second
)

// The names by which Slack and the inbox call what belongs to polls. A vote's has the number of its option behind it.
const (
	pollForm   = "poll.ask"
	pollVote   = "poll.vote."
	pollClose  = "poll.close"
	pollPost   = "poll.post"
	pollShow   = "poll.show"
	pollEnd    = "poll.end"
	pollForget = "poll.forget"
)

// pollExample shows what can be typed.
const pollExample = "`/poll \"Lunch?\" Pizza, Sushi, Salad`"

// poll is /poll.
func poll() feature {
	writes := bot.OptionalScopes("chat:write") // without it what was typed is kept, see pollDraft
	onLine := `"Question?" First, Second`
	return feature{
		name: "polls",
		does: []string{
			"Type `/poll` to ask a question: people answer with a button, and everybody sees the result grow.",
		},
		about: "Type /poll to ask a question with up to ten options. The result is in the message, and grows with " +
			"each vote.",
		picture: pollPicture(),
		try: []bot.Hint{{
			Title: "Ask a question.",
			Text: "Type /poll \"Lunch?\" Pizza, Sushi, Salad in a channel, and vote as several people. " +
				"/poll alone opens a form, where a poll can also be anonymous or close at a time.",
		}},
		handlers: []bot.Handler{
			bot.OnCommand("/poll", askPoll, writes,
				bot.Describe("Asks a question that people answer with a button; without words it opens a form", "["+onLine+"]")),
			bot.OnCommand("/poll anonymous", askAnonymously, writes,
				bot.Describe("asks without showing who voted for what", onLine)),
			bot.OnCommand("/poll several", askForSeveral, writes,
				bot.Describe("lets everybody vote for several options", onLine)),
			bot.OnViewSubmission(pollForm, submitPoll),
			bot.OnActionAsync(pollPost, postPollDraft),
			bot.OnActionAsync(pollVote+"*", vote, bot.External()),
			bot.OnActionAsync(pollClose, closePoll, bot.OptionalScopes("users:read")),
			bot.OnTimer(pollShow, showPoll, bot.Scopes("chat:write")),
			bot.OnTimer(pollEnd, endPoll),
			bot.OnTimer(pollForget, forgetPoll),
		},
		scopes: []connection.Scope{
			{
				Name: "chat:write", Label: "Send messages", Feature: "post polls",
				Why: "To post polls and keep their results up to date.",
			},
			{
				Name: "commands", Label: "Offer slash commands", Feature: "offer its commands",
				Why: "So that you can type its commands.",
			},
			{
				Name: "users:read", Label: "See who is who", Feature: "show admins their buttons", Optional: true,
				Why: "To let admins close a poll that somebody else asked.",
			},
		},
	}
}

// pollPicture is a poll after a few votes, for the install page.
func pollPicture() install.Picture {
	q := pollRecord{Text: "Where do we eat?", Options: []string{"Pizza place", "Noodle bar"}, By: "U1"}
	voted := tally{Voters: 5, Votes: []int{3, 2}, Names: [][]string{{"U2", "U3", "U4"}, {"U1", "U5"}}}
	shown := q.reply(pollRef{}, voted)
	votes := shown.Blocks[:1+len(q.Options)] // below them is small print with a day, which would be over soon
	return install.Picture{
		By: "Dana", Asked: `/poll "Where do we eat?" Pizza place, Noodle bar`, Text: shown.Text, Blocks: votes,
		Names: map[string]string{"U1": "Dana", "U2": "Leon", "U3": "Mia", "U4": "Omar", "U5": "Yuki"},
	}
}

// pollRecord is a poll as it is kept.
type pollRecord struct {
	Text      string   // what is asked, as plain text but for mentions
	Options   []string // the same
	Several   bool     // everybody can vote for several of them
	Anonymous bool
	Secret    []byte `json:",omitempty"` // of an anonymous poll that is open: what makes a code of a person

	By      string // who asked (U…)
	Channel string
	TS      string // of the message; "" until it is posted
	Draft   string `json:",omitempty"` // the event that posts a draft

	Ends     time.Time // it closes by itself
	Timed    bool      // who asked chose that time
	Closed   time.Time // zero while it is open
	ClosedBy string    // "": it closed by itself

	Forgotten bool // its ballots are deleted, and its message is left alone
}

// over reports whether a press at a time is too late.
func (q pollRecord) over(at time.Time) bool {
	return !q.Closed.IsZero() && !at.Before(q.Closed) || !q.Ends.IsZero() && !at.Before(q.Ends)
}

// voter names somebody's ballot. Of an anonymous poll that is a code that only the poll's secret leads back from.
func (q pollRecord) voter(userID string) string {
	if !q.Anonymous {
		return userID
	}
	code := hmac.New(sha256.New, q.Secret)
	code.Write([]byte(userID))
	return hex.EncodeToString(code.Sum(nil)[:16])
}

// ballot is what somebody voted for.
type ballot struct {
	Chosen  []int         // options
	Pressed map[int]int64 // of each option when its button was pressed last, in microseconds by Slack's clock
}

// press counts the press of an option's button. One that came before is not counted twice, nor is a double click.
func (b *ballot) press(option int, at int64, several bool) {
	last, before := b.Pressed[option]
	newest := true // of all of the person's presses
	between := false
	for other, when := range b.Pressed {
		newest = newest && (other == option || when <= at)
		between = between || other != option && when > last
	}
	if before && at <= last {
		return
	}

	if b.Pressed == nil {
		b.Pressed = map[int]int64{}
	}
	b.Pressed[option] = at
	double := before && at-last < pollDoubleClick.Microseconds() && (several || !between)
	if double || !several && !newest {
		return
	}

	i := slices.Index(b.Chosen, option)
	switch {
	case i >= 0:
		b.Chosen = slices.Delete(b.Chosen, i, i+1)
	case several:
		b.Chosen = append(b.Chosen, option)
		slices.Sort(b.Chosen)
	default:
		b.Chosen = []int{option}
	}
}

// shown says when the message was brought up to date last.
type shown struct {
	At     time.Time
	N      int    // how many times that was begun
	Voters int    // whom it shows
	Final  bool   // it shows that the poll is closed
	Fault  string // why Slack didn't take it
}

// The keys of a poll's values. Those of an anonymous poll's ballots hold no ids of people.
func pollKey(id string) string      { return "poll/" + id }
func shownKey(id string) string     { return "poll/" + id + "/shown" }
func ballotsKey(id string) string   { return "poll/" + id + "/vote/" }
func pollDraftKey(id string) string { return "poll-draft/" + id }

// pollRef says in a button which poll it belongs to, and whose Store knows it: in a channel that several workspaces of
// an organisation share, who presses can be of another one.
type pollRef struct {
	team, id string
	option   int
}

func (r pollRef) String() string { return fmt.Sprintf("%s/%s/%d", r.team, r.id, r.option) }

func readPollRef(value string) (r pollRef, err error) {
	parts := strings.Split(value, "/")
	if len(parts) != 3 {
		return r, fmt.Errorf("a button of a poll says %q", value)
	}
	r.team, r.id = parts[0], parts[1]
	r.option, err = strconv.Atoi(parts[2])
	return r, err
}

// Asking.

// askPoll is /poll: the form, or what was typed on one line.
func askPoll(ctx context.Context, c *bot.Command) error {
	if strings.TrimSpace(c.Text) != "" {
		return askOnLine(ctx, c, pollRecord{})
	}
	if err := c.Need("chat:write"); err != nil {
		return err
	}
	_, err := c.OpenModal(ctx, pollView(c.ChannelID))
	return err
}

func askAnonymously(ctx context.Context, c *bot.Command) error {
	return askOnLine(ctx, c, pollRecord{Anonymous: true})
}

func askForSeveral(ctx context.Context, c *bot.Command) error {
	return askOnLine(ctx, c, pollRecord{Several: true})
}

// askOnLine posts what was typed, or keeps it until it can be posted.
func askOnLine(ctx context.Context, c *bot.Command, q pollRecord) error {
	readPollLine(c.Text, &q)
	wrong := q.wrong(c.Now())
	if q.Text == "" {
		wrong["question"] = "Put the question in quotes, and the options behind it."
	}
	if len(wrong) > 0 {
		return &bot.UserError{Text: pollWords(cmp.Or(wrong["question"], wrong["options"])) +
			" Type it like this: " + pollExample + ". `/poll` alone opens a form."}
	}

	q.By, q.Channel = c.UserID, c.ChannelID
	err := postPoll(ctx, c.Request, randomID(), q)
	why, cant := whyNot(c.Request, q.Channel, err)
	if !cant {
		return err
	}
	id := randomID()
	if err := c.Store().Put(ctx, pollDraftKey(id), q, pollDraft); err != nil {
		return err
	}
	return c.Respond(ctx, withDraft(pollRef{team: c.Store().TeamID(), id: id}, q, why))
}

var (
	// What Slack makes of mentions and links that are typed behind a command.
	// https://docs.slack.dev/interactivity/implementing-slash-commands
	slackMention = regexp.MustCompile(`<([@#][A-Z0-9]+)(?:\|[^<>]*)?>`)
	slackLink    = regexp.MustCompile(`<([^<>@#|][^<>|]*)(?:\|([^<>]*))?>`)
	// A mention in what is kept, and in what it becomes when it is escaped.
	keptMention    = regexp.MustCompile(`<([@#][A-Z0-9]+)>`)
	escapedMention = regexp.MustCompile(`&lt;([@#][A-Z0-9]+)&gt;`)
)

// plainWords is what was typed behind a command as plain text, in which only people and channels stay mentions.
func plainWords(typed string) string {
	typed = slackLink.ReplaceAllStringFunc(typed, func(s string) string {
		m := slackLink.FindStringSubmatch(s)
		if name, special := strings.CutPrefix(m[1], "!"); special {
			return "@" + strings.TrimPrefix(cmp.Or(m[2], name), "@")
		}
		return cmp.Or(m[2], m[1])
	})
	return html.UnescapeString(slackMention.ReplaceAllString(typed, "<$1>"))
}

// pollQuotes are quotes as people type them and as their devices make them, with all that can close each.
var pollQuotes = map[rune]string{'"': `"”“`, '“': `”"“`, '”': `”"`, '„': `“”"`, '«': "»", '»': "«"}

// readPollLine reads `"Question?" First, Second`. Options can stand in quotes, too, with or without commas between
// them; then they can hold commas. The words anonymous and several can stand before it. Without a question in quotes
// nothing is read.
func readPollLine(text string, q *pollRecord) {
	text = strings.TrimSpace(plainWords(text))
	for {
		word, rest, more := strings.Cut(text, " ")
		switch {
		case more && strings.EqualFold(word, "anonymous"):
			q.Anonymous = true
		case more && strings.EqualFold(word, "several"):
			q.Several = true
		default:
			if items, quoted := pollItems(text); quoted {
				q.Text, q.Options = items[0], items[1:]
			}
			return
		}
		text = strings.TrimSpace(rest)
	}
}

// pollItems are the parts of a line, between quotes or commas. quoted: the first one stands in quotes.
func pollItems(text string) (items []string, quoted bool) {
	var item strings.Builder
	end := func() {
		if s := oneLine(item.String()); s != "" {
			items = append(items, s)
		}
		item.Reset()
	}

	closers := ""
	for i, r := range text {
		switch {
		case closers != "" && strings.ContainsRune(closers, r):
			closers = ""
			end()
		case closers != "":
			item.WriteRune(r)
		case pollQuotes[r] != "" && strings.TrimSpace(item.String()) == "":
			closers = pollQuotes[r]
			quoted = quoted || i == 0
		case r == ',' || r == '\n':
			end()
		default:
			item.WriteRune(r)
		}
	}
	end()
	return items, quoted && len(items) > 0
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// wrong is what is wrong with a question, by the inputs of the form.
func (q pollRecord) wrong(now time.Time) map[string]string {
	wrong := map[string]string{}
	switch n := utf8.RuneCountInString(q.Text); {
	case n == 0:
		wrong["question"] = "Write a question."
	case n > pollQuestion:
		wrong["question"] = fmt.Sprintf("A question has at most %d characters, and this one has %d.", pollQuestion, n)
	}

	long := slices.IndexFunc(q.Options, func(o string) bool { return utf8.RuneCountInString(o) > pollOption })
	twice := repeated(q.Options)
	switch n := len(q.Options); {
	case n < 2:
		wrong["options"] = fmt.Sprintf("A poll needs 2 to %d options, and this one has %d.", pollOptions, n)
	case n > pollOptions:
		wrong["options"] = fmt.Sprintf("A poll has at most %d options, and this one has %d.", pollOptions, n)
	case long >= 0:
		wrong["options"] = fmt.Sprintf("An option has at most %d characters. “%s” is longer.", pollOption,
			mrkdwn.Clip(q.Options[long], 30))
	case twice != "":
		wrong["options"] = fmt.Sprintf("“%s” is there twice.", twice)
	}

	switch {
	case !q.Timed:
	case q.Ends.Before(now.Add(time.Minute)):
		wrong["ends"] = "That time has passed. Choose a later one, or none."
	case q.Ends.After(now.Add(pollLife)):
		wrong["ends"] = "A poll can be open for 30 days. Choose an earlier time, or none."
	}
	return wrong
}

// repeated is the first option that is there a second time, "" for none.
func repeated(options []string) string {
	seen := map[string]bool{}
	for _, o := range options {
		if seen[strings.ToLower(o)] {
			return o
		}
		seen[strings.ToLower(o)] = true
	}
	return ""
}

// The form.

// What can be ticked in it.
const (
	pollTickSeveral   = "several"
	pollTickAnonymous = "anonymous"
)

// pollView is the form for a poll in a channel, which can be changed in it.
func pollView(channel string) slack.ModalViewRequest {
	input := func(id, name, hint string, element slack.BlockElement) *slack.InputBlock {
		b := slack.NewInputBlock(id, formText(name), nil, element)
		if hint != "" {
			b.Hint = formText(hint)
		}
		return b
	}

	text := slack.NewPlainTextInputBlockElement(formText("What is it about?"), "text").WithMaxLength(pollQuestion)
	options := slack.NewPlainTextInputBlockElement(nil, "text").WithMultiline(true)
	where := slack.NewOptionsSelectBlockElement(slack.OptTypeConversations, nil, "channel").
		WithInitialConversation(channel)
	ticks := input("ticks", "Votes", "", slack.NewCheckboxGroupsBlockElement("ticks",
		slack.NewOptionBlockObject(pollTickSeveral, formText("Everybody can vote for several options"), nil),
		slack.NewOptionBlockObject(pollTickAnonymous, formText("Anonymous: nobody sees who voted for what"),
			formText("Until the poll closes, the people who run this app could still find out.")),
	))
	ends := input("ends", "Closes at", "You can close it at any time. Without a time it closes after 30 days.",
		slack.NewDateTimePickerBlockElement("ends"))
	ticks.Optional, ends.Optional = true, true

	return slack.ModalViewRequest{
		Type: slack.VTModal, CallbackID: pollForm, Title: mrkdwn.Plain("Ask a question", mrkdwn.MaxTitle),
		Submit: mrkdwn.Plain("Post", mrkdwn.MaxTitle), Close: mrkdwn.Plain("Cancel", mrkdwn.MaxTitle),
		Blocks: slack.Blocks{BlockSet: []slack.Block{
			input("question", "Question", "", text),
			input("options", "Options", fmt.Sprintf("One on each line, 2 to %d.", pollOptions), options),
			input("channel", "Post it in", "", where), ticks, ends,
		}},
	}
}

// submitPoll posts what the form says. What is wrong stands below its input, and so does why it can't be posted, so
// that nothing that was typed is lost.
func submitPoll(ctx context.Context, s *bot.Submission) error {
	var form struct {
		Question string    `block:"question"`
		Options  string    `block:"options"`
		Channel  string    `block:"channel"`
		Ticks    []string  `block:"ticks"`
		Ends     time.Time `block:"ends"`
	}
	if err := s.Decode(&form); err != nil {
		return err
	}

	q := pollRecord{
		Text: oneLine(form.Question), By: s.UserID, Channel: form.Channel, Ends: form.Ends, Timed: !form.Ends.IsZero(),
		Several: slices.Contains(form.Ticks, pollTickSeveral), Anonymous: slices.Contains(form.Ticks, pollTickAnonymous),
	}
	for line := range strings.Lines(form.Options) {
		if line = oneLine(line); line != "" {
			q.Options = append(q.Options, line)
		}
	}
	if wrong := q.wrong(s.Now()); len(wrong) > 0 {
		return s.Errors(wrong)
	}

	// Slack shows an error when an answer is lost, and people press again: the window is the same one.
	err := postPoll(ctx, s.Request, s.ViewID, q)
	if errors.As(err, new(*bot.NotAllowedError)) {
		err = slack.SlackErrorResponse{Err: "missing_scope"} // as Slack says it
	}
	if says := cantPost(err, s.Install.App().Name, form.Channel); says != "" {
		return s.Errors(map[string]string{"channel": says})
	}
	return err
}

// Posting.

func randomID() string { return strings.ToLower(rand.Text()[:16]) }

// postPoll posts q as the poll of an id, unless that was done already.
func postPoll(ctx context.Context, req *bot.Request, id string, q pollRecord) error {
	if err := req.Need("chat:write"); err != nil {
		return err
	}
	store := req.Store()
	if q.Ends.IsZero() {
		q.Ends = req.Now().Add(pollLife)
	}
	if q.Anonymous {
		q.Secret = make([]byte, 32)
		_, _ = rand.Read(q.Secret) // never fails
	}

	posted := false
	err := bot.Update(ctx, store, pollKey(id), func(kept *pollRecord) error {
		if posted = kept.TS != ""; !posted {
			*kept = q
		}
		return nil
	})
	if err != nil || posted {
		return err
	}
	if err := req.Schedule(ctx, pollEnd, id, q.Ends, nil); err != nil {
		return err
	}

	r := q.reply(pollRef{team: store.TeamID(), id: id}, tally{Votes: make([]int, len(q.Options))})
	_, ts, err := req.Client.PostMessageContext(ctx, q.Channel, slack.MsgOptionText(r.Text, false),
		slack.MsgOptionBlocks(r.Blocks...), slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl())
	if slackapi.SlackError(err) != "" { // else it may be there, and the first press says where
		_, cancelErr := req.Cancel(ctx, pollEnd, id)
		return errors.Join(err, cancelErr, store.Delete(ctx, pollKey(id)))
	}
	if err != nil {
		return err
	}
	return keepPosted(ctx, req, id, q.Channel, ts)
}

// keepPosted keeps which message a poll is. Where two presses posted it at the same time that is one of them, and the
// other is deleted: nobody would bring it up to date.
func keepPosted(ctx context.Context, req *bot.Request, id, channel, ts string) error {
	stays := ""
	err := bot.Update(ctx, req.Store(), pollKey(id), func(kept *pollRecord) error {
		kept.TS = cmp.Or(kept.TS, ts)
		stays = kept.TS
		return nil
	})
	if err != nil || stays == ts {
		return err
	}
	if _, _, err := req.Client.DeleteMessageContext(ctx, channel, ts); err != nil {
		req.Log.InfoContext(ctx, "delete the second message of a poll", "cause", err)
	}
	return nil
}

// pollNotAllowed is said where no button that asks for the permission can stand.
const pollNotAllowed = "I'm not allowed to send messages in this workspace."

// cantPost says why Slack took no message in a conversation, and what to do. "" where the error is another one. It can
// stand in a form, which shows no markup.
func cantPost(err error, app, channel string) string {
	why, next := refusedIn(channel, slackapi.SlackError(err))
	return strings.ReplaceAll(strings.TrimSpace(why+" "+next), "@app", "@"+app)
}

// refusedIn is what a code of Slack's says about a conversation, and what to do then.
func refusedIn(channel, code string) (why, next string) {
	switch {
	case (code == "not_in_channel" || code == "channel_not_found") && !strings.HasPrefix(channel, "C"):
		return "I can't write in this conversation, because I'm not part of it.", "Ask in a channel that I'm in."
	case code == "not_in_channel", code == "channel_not_found":
		return "I'm not in this channel yet.", "Type /invite @app there, and post it again."
	case code == "is_archived":
		return "This channel is archived, so nobody can write in it.", ""
	case strings.HasPrefix(code, "restricted_action"):
		return "Only some people can write in this channel, and I'm not one of them.", "Ask an admin to allow it."
	case code == "missing_scope":
		return pollNotAllowed, "Ask an admin to allow it, and post it again."
	case code == "ratelimited":
		return "Slack won't take another message here right now.", "Post it again in a minute."
	}
	return "", ""
}

// whyNot is an answer that says why a poll can't be posted in a channel, and what to do. cant: err is about that.
func whyNot(req *bot.Request, channel string, err error) (why bot.Reply, cant bool) {
	if errors.As(err, new(*bot.NotAllowedError)) || slackapi.SlackError(err) == "missing_scope" {
		return req.NotAllowed("chat:write"), true
	}
	says := cantPost(err, req.Install.App().Name, channel)
	return bot.Text(says), says != ""
}

// withDraft adds to an answer the button that posts a draft.
func withDraft(r pollRef, q pollRecord, why bot.Reply) bot.Reply {
	const kept = "Your poll is kept for a day. Press Post it when that is done."
	if len(why.Blocks) == 0 {
		why.Blocks = []slack.Block{mrkdwn.Section(why.Text)}
	}
	button := valued(pollPost, "Post it", "Post the poll: "+plainLabel(q.Text), r.String())
	why.Text += " " + kept
	why.Blocks = append(why.Blocks, mrkdwn.Context(kept+" It asks: "+pollWords(q.Text)), slack.NewActionBlock("", button))
	return why
}

// pollPosted takes the place of a draft.
var pollPosted = bot.Text("Your poll is posted.")

// postPollDraft posts what was kept. Of two presses one does.
func postPollDraft(ctx context.Context, a *bot.AsyncAction) error {
	r, err := readPollRef(a.Value)
	if err != nil {
		return err
	}
	home := a.In(r.team)
	var q pollRecord
	found, err := home.Store().Get(ctx, pollDraftKey(r.id), &q)
	if err != nil {
		return err
	}
	if !found {
		posted, err := home.Store().Get(ctx, pollKey(r.id), &q)
		switch {
		case err != nil:
			return err
		case posted: // by the first press of a double click
			return a.Update(ctx, pollPosted)
		}
		return a.Update(ctx, bot.Text("This poll is no longer kept. Ask it again, as in "+pollExample+"."))
	}

	err = bot.Update(ctx, home.Store(), pollDraftKey(r.id), func(kept *pollRecord) error {
		if kept.Draft == "" || kept.Draft == a.EventID {
			kept.Draft = a.EventID
		}
		q = *kept
		return nil
	})
	if err != nil || q.Draft != a.EventID {
		return err
	}

	q.Draft = ""
	err = postPoll(ctx, home, r.id, q)
	if err != nil {
		if letGo := letGo(ctx, home, r.id); letGo != nil { // of the draft, for another press
			return errors.Join(err, letGo)
		}
	}
	if why, cant := whyNot(a.Request, q.Channel, err); cant {
		return a.Update(ctx, withDraft(r, q, why))
	}
	if err != nil {
		return err
	}
	if err := a.Update(ctx, pollPosted); err != nil {
		return err
	}
	return home.Store().Delete(ctx, pollDraftKey(r.id))
}

// letGo lets a draft be posted by another press.
func letGo(ctx context.Context, home *bot.Request, draft string) error {
	return bot.Update(ctx, home.Store(), pollDraftKey(draft), func(kept *pollRecord) error { kept.Draft = ""; return nil })
}

// Voting.

// pollOver is said where no more is known of a poll.
const pollOver = "This poll is over. The message shows its result."

// vote counts a press of an option's button. It can run again, and counts the press once.
func vote(ctx context.Context, a *bot.AsyncAction) error {
	r, err := readPollRef(a.Value)
	if err != nil {
		return err
	}
	home, at := a.In(r.team), pressedAt(a)
	q, found, err := pollOf(ctx, a, home, r)
	switch {
	case err != nil:
		return err
	case !found, r.option < 0, r.option >= len(q.Options):
		return a.Respond(ctx, bot.Text(pollOver))
	case q.over(at):
		return a.Respond(ctx, bot.Text("This poll closed "+mrkdwn.Time(english, q.closedAt())+", so your vote came too late."))
	case q.Forgotten:
		return a.Respond(ctx, bot.Text(pollOver))
	}

	var mine ballot
	err = bot.Update(ctx, home.Store(), ballotsKey(r.id)+q.voter(a.UserID), func(b *ballot) error {
		b.press(r.option, at.UnixMicro(), q.Several)
		mine = *b
		return nil
	})
	if err != nil {
		return err
	}
	if err := showSoon(ctx, home, r.id); err != nil {
		return err
	}
	return tellVoter(ctx, a, home, r, q, mine)
}

// pollOf is the poll that a button belongs to.
func pollOf(ctx context.Context, a *bot.AsyncAction, home *bot.Request,
	r pollRef) (q pollRecord, found bool, err error) {
	found, err = home.Store().Get(ctx, pollKey(r.id), &q)
	if err != nil || !found || q.TS != "" {
		return q, found, err
	}

	// The process that posted it ended before it knew the message.
	q.TS = a.Payload.Container.MessageTs
	err = bot.Update(ctx, home.Store(), pollKey(r.id), func(kept *pollRecord) error {
		kept.TS = cmp.Or(kept.TS, q.TS)
		q = *kept
		return nil
	})
	return q, true, err
}

// pressedAt is when a button was pressed, by Slack's clock.
func pressedAt(a *bot.AsyncAction) time.Time {
	seconds, fraction, _ := strings.Cut(a.Action.ActionTs, ".")
	s, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return a.Now()
	}
	micros, _ := strconv.ParseInt((fraction + "000000")[:6], 10, 64)
	return time.UnixMicro(s*1_000_000 + micros)
}

// tellVoter tells somebody what they voted for where the message doesn't: names are not shown, or not all of them.
func tellVoter(ctx context.Context, a *bot.AsyncAction, home *bot.Request, r pollRef, q pollRecord, mine ballot) error {
	var s shown
	if _, err := home.Store().Get(ctx, shownKey(r.id), &s); err != nil {
		return err
	}
	if !q.Anonymous && s.Voters <= pollNames && s.Fault == "" {
		return nil
	}

	text := "You have no vote in this poll now."
	if len(mine.Chosen) > 0 {
		var names []string
		for _, i := range mine.Chosen {
			names = append(names, pollWords(q.Options[i]))
		}
		text = "You voted for " + connection.And(names) + ". Press a button again to take its vote back."
	}
	if s.Fault != "" {
		text += " It is counted, but this message can't show it. " + s.Fault
	}
	return a.Respond(ctx, bot.Text(text))
}

// showSoon has the message brought up to date: right away, or as soon as it can be changed again. Whoever asks for it
// meanwhile asks for the same.
func showSoon(ctx context.Context, home *bot.Request, id string) error {
	var s shown
	if _, err := home.Store().Get(ctx, shownKey(id), &s); err != nil {
		return err
	}

	// No two have the same microsecond: the inbox takes a timer of the same time for one that it has had already.
	at := home.Now().Add(-mathrand.N(time.Second))
	if next := s.At.Add(pollGap); next.After(home.Now()) {
		at = next.Add(-mathrand.N(pollGap / 4))
	}
	return home.Schedule(ctx, pollShow, id, at, nil)
}

// Showing.

// showPoll brings the message of a poll up to date.
func showPoll(ctx context.Context, t *bot.Timer) error {
	store := t.Store()
	var q pollRecord
	if found, err := store.Get(ctx, pollKey(t.Key), &q); err != nil || !found || q.TS == "" || q.Forgotten {
		return err
	}

	turn, early := 0, false
	err := bot.Update(ctx, store, shownKey(t.Key), func(s *shown) error {
		if early = t.Now().Before(s.At.Add(pollGap / 2)); !early {
			s.N, s.At = s.N+1, t.Now()
		}
		turn = s.N
		return nil
	})
	if err != nil {
		return err
	}
	if early {
		return showSoon(ctx, t.Request, t.Key)
	}

	counted, err := countPoll(ctx, store, t.Key, q)
	if err != nil {
		return err
	}
	// What was being deleted meanwhile isn't counted.
	if found, err := store.Get(ctx, pollKey(t.Key), &q); err != nil || !found || q.Forgotten {
		return err
	}
	r := q.reply(pollRef{team: store.TeamID(), id: t.Key}, counted)
	_, _, _, err = t.Client.UpdateMessageContext(ctx, q.Channel, q.TS, slack.MsgOptionText(r.Text, false),
		slack.MsgOptionBlocks(r.Blocks...))
	return shownNow(ctx, t, q, counted, turn, err)
}

// shownNow notes what became of the nth time that the message was brought up to date.
func shownNow(ctx context.Context, t *bot.Timer, q pollRecord, counted tally, turn int, err error) error {
	fault := ""
	switch code := slackapi.SlackError(err); code {
	case "":
		if err != nil {
			return err
		}
	case "message_not_found": // somebody deleted it
		return t.Schedule(ctx, pollForget, t.Key, t.Now(), nil)
	default:
		if fault, _ = refusedIn(q.Channel, code); fault == "" || code == "ratelimited" {
			return err
		}
	}

	overtaken := false
	noted := bot.Update(ctx, t.Store(), shownKey(t.Key), func(s *shown) error {
		s.Voters, s.Fault, s.Final = counted.Voters, fault, s.Final || fault == "" && !q.Closed.IsZero()
		overtaken = s.N != turn
		return nil
	})
	if noted != nil || !overtaken {
		return noted
	}
	// Another one went on its way meanwhile, and nobody knows which of the two reached Slack last.
	return showSoon(ctx, t.Request, t.Key)
}

// tally is what was voted.
type tally struct {
	Voters int
	Votes  []int      // by option
	Names  [][]string // by option, ids in the order in which they voted; nil for an anonymous poll
}

// countPoll counts the ballots of a poll.
func countPoll(ctx context.Context, store bot.Store, id string, q pollRecord) (tally, error) {
	type voter struct {
		id string
		at int64
	}
	counted := tally{Votes: make([]int, len(q.Options))}
	voters := make([][]voter, len(q.Options))
	for entry, err := range store.List(ctx, ballotsKey(id)) {
		if err != nil {
			return counted, err
		}
		var b ballot
		if err := entry.Decode(&b); err != nil {
			return counted, err
		}
		if len(b.Chosen) > 0 {
			counted.Voters++
		}
		for _, i := range b.Chosen {
			counted.Votes[i]++
			voters[i] = append(voters[i], voter{strings.TrimPrefix(entry.Key, ballotsKey(id)), b.Pressed[i]})
		}
	}
	if q.Anonymous {
		return counted, nil
	}

	for _, of := range voters {
		slices.SortFunc(of, func(a, b voter) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) })
		var names []string
		for _, v := range of {
			names = append(names, v.id)
		}
		counted.Names = append(counted.Names, names)
	}
	return counted, nil
}

// pollWords is a question or an option in a message: escaped, but for people and channels.
func pollWords(s string) string { return escapedMention.ReplaceAllString(mrkdwn.Escape(s), "<$1>") }

// plainLabel is the same where Slack shows no markup.
func plainLabel(s string) string { return keptMention.ReplaceAllString(s, "$1") }

func inVotes(n int) string {
	if n == 0 {
		return "no votes"
	}
	return counted(n, "vote", "votes")
}

// counted says a number of things in words.
func counted(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

// reply is the poll as a message.
func (q pollRecord) reply(r pollRef, t tally) bot.Reply {
	open := q.Closed.IsZero()
	most := slices.Max(t.Votes)
	blocks := []slack.Block{mrkdwn.Whole("*" + pollWords(q.Text) + "*")}
	for i, option := range q.Options {
		won := !open && most > 0 && t.Votes[i] == most
		block := slack.NewSectionBlock(mrkdwn.Text(optionText(option, i, t, won)), nil, nil)
		if open {
			r.option = i
			block.Accessory = slack.NewAccessory(valued(pollVote+strconv.Itoa(i), "Vote", "Vote for "+plainLabel(option),
				r.String()))
		}
		blocks = append(blocks, block)
	}

	blocks = append(blocks, mrkdwn.Context(q.smallPrint(t)))
	if open {
		r.option = 0
		button := valued(pollClose, "Close poll", "Close the poll: "+plainLabel(q.Text), r.String())
		button.Confirm = slack.NewConfirmationBlockObject(mrkdwn.Plain("Close this poll?", 100),
			mrkdwn.Plain("Nobody can vote after that. The result stays here.", 300),
			mrkdwn.Plain("Close poll", 30), mrkdwn.Plain("Keep it open", 30))
		blocks = append(blocks, slack.NewActionBlock("", button))
	}
	return bot.Reply{Text: q.spoken(t), Blocks: blocks}
}

// optionText is an option with its bar, and who voted for it.
func optionText(option string, i int, t tally, won bool) string {
	const width = 12
	name, votes, voters := pollWords(option), t.Votes[i], max(t.Voters, 1)
	if won {
		name = "*" + name + "*"
	}
	full := (votes*width + voters/2) / voters
	line := "\n`" + strings.Repeat("█", full) + strings.Repeat("░", width-full) + "` " + inVotes(votes)
	if votes > 0 {
		line += fmt.Sprintf(", %d%%", (100*votes+voters/2)/voters)
	}
	if t.Names == nil || len(t.Names[i]) == 0 {
		return name + line
	}

	var people []string
	for n, id := range t.Names[i] {
		if n == pollNames && len(t.Names[i]) > pollNames+1 { // "and 1 other" is no shorter
			people = append(people, counted(len(t.Names[i])-n, "other", "others"))
			break
		}
		people = append(people, mrkdwn.Person(id))
	}
	return name + line + "\n" + connection.And(people)
}

// smallPrint is what stands below a poll: who voted, how, and until when.
func (q pollRecord) smallPrint(t tally) string {
	var says []string
	if t.Voters > 0 {
		says = append(says, counted(t.Voters, "person", "people")+" voted.")
	}
	switch {
	case !q.Closed.IsZero() && q.ClosedBy != "":
		says = append(says, mrkdwn.Person(q.ClosedBy)+" closed this poll "+mrkdwn.Time(english, q.Closed)+".")
	case !q.Closed.IsZero():
		says = append(says, "This poll closed "+mrkdwn.Time(english, q.Closed)+".")
	case q.Several:
		says = append(says, "You can vote for several options. Press a button again to take that vote back.")
	default:
		says = append(says, "You have one vote. Press the same button again to take it back.")
	}

	if q.Anonymous && q.Closed.IsZero() {
		says = append(says, "Anonymous: nobody sees who voted for what. The app keeps a code for each person instead of a "+
			"name, and deletes it ten minutes after the poll closed. Until then the people who run the app could find out.")
	} else if q.Anonymous {
		says = append(says, "It was anonymous. Ten minutes later the app no longer knew who voted for what.")
	}
	asked := mrkdwn.Person(q.By) + " asked."
	switch {
	case !q.Closed.IsZero():
	case q.Timed:
		asked += " It closes " + mrkdwn.Time(english, q.Ends) + "."
	default:
		asked += " It closes " + mrkdwn.Time(english, q.Ends) + " at the latest."
	}
	return strings.Join(append(says, asked), " ")
}

// spoken is what screen readers and notifications say of a poll: what is asked, and the result.
func (q pollRecord) spoken(t tally) string {
	says := []string{"Poll: " + sentence(pollWords(q.Text))}
	if !q.Closed.IsZero() {
		says[0] = "Closed poll: " + sentence(pollWords(q.Text))
	}
	for i, option := range q.Options {
		says = append(says, pollWords(option)+": "+inVotes(t.Votes[i])+".")
	}
	if t.Voters > 0 {
		says = append(says, counted(t.Voters, "person", "people")+" voted.")
	}
	return mrkdwn.Cut(strings.Join(says, " "), pollSpoken)
}

// pollSpoken is as much text as Slack takes in a message that is changed.
const pollSpoken = 4000

// sentence is s with a full stop where it has no mark of its own.
func sentence(s string) string {
	if last, _ := utf8.DecodeLastRuneInString(s); strings.ContainsRune(".!?…", last) {
		return s
	}
	return s + "."
}

// Closing.

// closedAt is when a poll that is over was closed.
func (q pollRecord) closedAt() time.Time {
	if q.Closed.IsZero() {
		return q.Ends
	}
	return q.Closed
}

// closePoll closes a poll by hand: who asked it can, and admins where the app can tell who is one.
func closePoll(ctx context.Context, a *bot.AsyncAction) error {
	r, err := readPollRef(a.Value)
	if err != nil {
		return err
	}
	home := a.In(r.team)
	q, found, err := pollOf(ctx, a, home, r)
	if err != nil {
		return err
	}
	if !found {
		return a.Respond(ctx, bot.Text(pollOver))
	}

	if a.UserID == q.By {
		return endNow(ctx, home, r.id, a.UserID, pressedAt(a))
	}
	admin, err := a.IsAdmin(ctx)
	switch {
	case admin:
		return endNow(ctx, home, r.id, a.UserID, pressedAt(a))
	case errors.As(err, new(*bot.NotAllowedError)): // nobody can tell who is an admin
		return a.Respond(ctx, bot.Text("Only "+mrkdwn.Person(q.By)+", who asked it, can close this poll."))
	case err != nil:
		return err
	}
	return a.Respond(ctx, bot.Text("Only "+mrkdwn.Person(q.By)+
		", who asked it, and workspace admins can close this poll."))
}

// endNow closes a poll, unless it is closed. Who has it done again does the rest.
func endNow(ctx context.Context, home *bot.Request, id, by string, at time.Time) error {
	err := bot.Update(ctx, home.Store(), pollKey(id), func(q *pollRecord) error {
		if q.Closed.IsZero() {
			q.Closed, q.ClosedBy = at, by
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := showSoon(ctx, home, id); err != nil {
		return err
	}
	return home.Schedule(ctx, pollForget, id, home.Now().Add(pollGrace), nil)
}

// endPoll closes a poll at its time.
func endPoll(ctx context.Context, t *bot.Timer) error {
	var q pollRecord
	found, err := t.Store().Get(ctx, pollKey(t.Key), &q)
	switch {
	case err != nil || !found:
		return err
	case q.TS == "": // nobody has seen it
		return t.Store().Delete(ctx, pollKey(t.Key))
	case q.Forgotten: // somebody closed it before; what is left of it has its time
		return nil
	}
	return endNow(ctx, t.Request, t.Key, "", q.Ends)
}

// forgetPoll deletes who voted in a poll that is closed, once its message says so. The result stays in the message.
func forgetPoll(ctx context.Context, t *bot.Timer) error {
	store := t.Store()
	var s shown
	if _, err := store.Get(ctx, shownKey(t.Key), &s); err != nil {
		return err
	}
	var q pollRecord
	found, err := store.Get(ctx, pollKey(t.Key), &q)
	if err != nil {
		return err
	}
	if late := t.Now().Sub(q.Closed) > pollMemory; found && !q.Closed.IsZero() && !s.Final && !late {
		if err := showSoon(ctx, t.Request, t.Key); err != nil {
			return err
		}
		return t.Schedule(ctx, pollForget, t.Key, t.Now().Add(time.Hour), nil)
	}

	if found {
		err := bot.Update(ctx, store, pollKey(t.Key), func(kept *pollRecord) error {
			kept.Forgotten, kept.Secret = true, nil
			q = *kept
			return nil
		})
		if err != nil {
			return err
		}
	}
	for entry, err := range store.List(ctx, ballotsKey(t.Key)) {
		if err != nil {
			return err
		}
		if err := store.Delete(ctx, entry.Key); err != nil {
			return err
		}
	}
	if err := store.Delete(ctx, shownKey(t.Key)); err != nil || !found {
		return err
	}
	if q.Closed.IsZero() { // its message is gone
		_, err := t.Cancel(ctx, pollEnd, t.Key)
		return errors.Join(err, store.Delete(ctx, pollKey(t.Key)))
	}
	return store.Put(ctx, pollKey(t.Key), q, pollMemory)
}
