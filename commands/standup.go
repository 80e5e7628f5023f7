package commands

// /standup asks the people of a channel at a time of day, everybody in their own time zone, and posts one summary
// there.
//
// A day is everybody's own: "Monday" is asked on Monday morning in Tokyo, and some 16 hours later on Monday morning in
// San Francisco. Both answers are in Monday's summary. It comes when everybody has answered, and at the latest so long
// after the last of them was asked as the setup says. What comes later changes it.
//
// What is kept (Store), each under a key of its own, so that nobody's answer is in the way of another's:
//
//	standup/C…               what was set up for a channel
//	standup-answer/C…/day/U… what one person was asked and answered
//	standup-day/C…/day       the summary's message
//	standup-away/U…          from when to when somebody is away
//
// Two kinds of timers: one for each person, which asks and sets itself for the next time, and one for each day's
// summary, which posts or changes it.

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // the machine that this runs on may know no time zones
	"unicode/utf8"

	"github.com/slack-go/slack"
	"golang.org/x/sync/errgroup"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

const (
	standupPeople  = 40   // in one standup
	standupsInAll  = 100  // in one workspace
	standupLetters = 2000 // of one answer to one question
	standupKept    = 30   // days for which answers can be read and changed
	standupLookups = 8    // people that Slack is asked about at the same time

	// So many summaries in a row that their channel doesn't take, and nobody is asked any longer.
	standupUnposted = 5

	// A summary shows so much of all answers together, and of one person's; the rest is behind a button.
	summaryLetters, summaryLettersEach = 9000, 1500

	// A message has at most 50 blocks. So many of a summary's are answers: more than standupPeople have answered where
	// some of them have left since and others came.
	summaryAnswers = 44

	// An attempt to post a summary that nothing was heard of for so long has failed for the last time.
	summaryClaim = 2 * time.Hour
)

// Names of timers, windows and buttons.
const (
	standupAsks, standupSums   = "standup.ask", "standup.sum"
	standupForm, standupAnswer = "standup.setup", "standup.answer"
	standupOff, standupLeave   = "standup.off", "standup.leave"
	standupRead, standupPost   = "standup.read", "standup.post"
	standupChange, standupStop = "standup.change", "standup.stop"
)

func standup() feature {
	needs, better := bot.Scopes("chat:write"), bot.OptionalScopes("users:read")
	return feature{
		name: "standups",
		does: []string{
			"Type `/standup` in a channel: its people are asked every morning, each in their own time zone, and the channel " +
				"gets one summary.",
		},
		about: "Type /standup in a channel and choose who is asked, when and on which days. Everybody gets three questions " +
			"in a direct message, at that time in their own time zone, and the channel gets one summary of all answers.",
		try: []bot.Hint{{
			Title: "Set up a standup.",
			Text: "Type /standup in a channel that the app was invited to, and choose people. " +
				"Then type /standup answer, and look at the channel.",
		}},
		handlers: []bot.Handler{
			bot.OnCommand("/standup", setUpStandup, needs, better,
				bot.Describe("Sets up this channel's standup, or changes it", "")),
			bot.OnCommand("/standup show", showStandup, bot.Describe("shows this channel's standup, and who has answered", "")),
			bot.OnCommand("/standup answer", answerStandup, bot.Describe("answers today's questions", "")),
			bot.OnCommand("/standup skip", skipStandup, bot.Describe("says you're away today, or until a date", "[2026-12-24]")),
			bot.OnCommand("/standup back", endSkip, bot.Describe("says you're back", "")),
			bot.OnCommand("/standup leave", leaveByCommand, bot.Describe("stops asking you in this channel", "")),
			bot.OnCommand("/standup stop", askToStop, bot.Describe("ends this channel's standup", "")),
			bot.OnViewSubmission(standupForm, keepStandup, needs, better),
			bot.OnAction(standupChange, changeStandup, better),
			bot.OnAction(standupStop, stopStandup),

			bot.OnTimer(standupAsks, askPerson, better),
			bot.OnAction(standupAnswer, openAnswer),
			bot.OnViewSubmission(standupAnswer, keepAnswer),
			bot.OnAction(standupOff, offToday),
			bot.OnAction(standupLeave, leaveByButton),

			bot.OnTimer(standupSums, sumUp),
			bot.OnAction(standupRead, readAnswer),
			bot.OnAction(standupPost, postAgain),
		},
		scopes: []connection.Scope{
			{
				Name: "chat:write", Label: "Send messages", Feature: "ask for standups",
				Why: "To ask people for their standup, and to post the summary.",
			},
			{
				Name: "commands", Label: "Offer slash commands", Feature: "offer its commands",
				Why: "So that you can type its commands.",
			},
			{
				Name: "users:read", Label: "See who is who", Feature: "ask everybody in their own time zone", Optional: true,
				Why: "To ask everybody at the right time in their own time zone.",
			},
		},
	}
}

// What is kept.

// standupPlan is what was set up for a channel.
type standupPlan struct {
	By     string // who set it up or changed it last
	Zone   string // theirs, for whom no other is known
	People []participant
	At     time.Duration // since midnight, by everybody's clock
	Days   []string      // of the week: "Mon"
	Off    []span
	Wait   time.Duration // from the last question to the summary

	Unposted []day `json:",omitempty"` // whose summary the channel didn't take, since it last took one
}

// participant is somebody who is asked.
type participant struct {
	ID    string
	Zone  string    // "": not known
	Since time.Time // a time before that isn't theirs
}

// reply is what one person was asked on a day, and what they answered.
type standupReply struct {
	Claim                      string    `json:",omitempty"` // the delivery that asks
	Asked                      time.Time `json:",omitzero"`
	Away, Unreached            bool      `json:",omitempty"`
	Yesterday, Today, Blockers string    `json:",omitempty"`
	At, Changed                time.Time `json:",omitzero"` // when they answered first, and last
}

func (r standupReply) answered() bool { return !r.At.IsZero() }
func (r standupReply) settled() bool  { return r.answered() || r.Away || r.Unreached }

// standupPosted is the message of a day's summary.
type standupPosted struct {
	TS      string
	At      time.Time // what is answered after that is late
	Claim   string    // the delivery that posts it
	Claimed time.Time
}

func planKey(channel string) string { return "standup/" + channel }
func repliesKey(channel string, d day) string {
	return "standup-answer/" + channel + "/" + string(d) + "/"
}
func postedKey(channel string, d day) string { return "standup-day/" + channel + "/" + string(d) }
func awayKey(user string) string             { return "standup-away/" + user }

// Keys of timers, and what buttons are about.
func askKey(channel, user string) string  { return channel + "/" + user }
func sumKey(channel string, d day) string { return channel + "/" + string(d) }

// aboutDay reads sumKey, and something behind it.
func aboutDay(key string) (channel string, d day, rest string) {
	channel, rest, _ = strings.Cut(key, "/")
	on, rest, _ := strings.Cut(rest, "/")
	return channel, day(on), rest
}

// buttonFor is the value of a button about a day of a standup that a Store knows.
func buttonFor(store bot.Store, channel string, d day) string {
	return store.TeamID() + "/" + sumKey(channel, d)
}

// pressed reads buttonFor, and something behind it. home has the Store: who presses can be of another workspace of the
// organisation than the channel is.
func pressed(a *bot.Action) (home *bot.Request, channel string, d day, rest string) {
	team, key, _ := strings.Cut(a.Value, "/")
	channel, d, rest = aboutDay(key)
	return a.In(team), channel, d, rest
}

// standupIn is what was set up for a channel. A UserError says that nothing was.
func standupIn(ctx context.Context, store bot.Store, channel string) (plan standupPlan, err error) {
	found, err := store.Get(ctx, planKey(channel), &plan)
	if err == nil && !found {
		err = &bot.UserError{Text: "There's no standup in <#" + channel + ">. To set one up, type `/standup` there."}
	}
	return plan, err
}

// changePlan changes what was set up for a channel, unless it was ended meanwhile: nothing is left of it then.
func changePlan(ctx context.Context, store bot.Store, channel string, change func(p *standupPlan)) error {
	errEnded := errors.New("ended")
	err := bot.Update(ctx, store, planKey(channel), func(p *standupPlan) error {
		if p.By == "" {
			return errEnded
		}
		change(p)
		return nil
	})
	if errors.Is(err, errEnded) {
		return nil
	}
	return err
}

// standups are all of the workspace, by channel. There are at most standupsInAll.
func standups(ctx context.Context, store bot.Store) (map[string]standupPlan, error) {
	all := map[string]standupPlan{}
	for entry, err := range store.List(ctx, planKey("")) {
		if err != nil {
			return nil, err
		}
		var plan standupPlan
		if err := entry.Decode(&plan); err != nil {
			return nil, err
		}
		all[strings.TrimPrefix(entry.Key, planKey(""))] = plan
	}
	return all, nil
}

// person is somebody who is asked, nil for anybody else.
func (p *standupPlan) person(user string) *participant {
	i := slices.IndexFunc(p.People, func(in participant) bool { return in.ID == user })
	if i < 0 {
		return nil
	}
	return &p.People[i]
}

// zone is the zone of somebody who is asked; of who set it up where theirs isn't known.
func (p *standupPlan) zone(in *participant) *time.Location { return location(in.Zone, p.Zone) }

// today is the day that it is for a person.
func (p *standupPlan) today(in *participant, now time.Time) day { return dayOf(now.In(p.zone(in))) }

// meets reports whether people are asked on a day.
func (p *standupPlan) meets(d day) bool {
	return slices.Contains(p.Days, d.midnight().Format("Mon")) &&
		!slices.ContainsFunc(p.Off, func(off span) bool { return off.has(d) })
}

// slot is when a person is asked on a day, whether or not it is one of the standup's.
func (p *standupPlan) slot(in *participant, d day) time.Time { return d.at(p.At, p.zone(in)) }

// next is when a person is asked first after a time, and not on a day up to last.
func (p *standupPlan) next(in *participant, after time.Time, last day) (at time.Time, found bool) {
	d := p.today(in, after)
	for range 366 {
		if at := p.slot(in, d); d > last && p.meets(d) && at.After(after) {
			return at, true
		}
		d = d.add(1)
	}
	return at, false
}

// Days and the clocks of people.

// day is a date as Slack writes it: 2026-11-30. In their order they sort by their letters.
type day string

func dayOf(t time.Time) day { return day(t.Format(time.DateOnly)) }

// midnight is the day's first moment in UTC, to calculate with.
func (d day) midnight() time.Time {
	t, _ := time.Parse(time.DateOnly, string(d)) // what isn't one was refused before it was kept
	return t
}

func (d day) add(days int) day { return dayOf(d.midnight().AddDate(0, 0, days)) }
func (d day) words() string    { return d.midnight().Format("Monday, 2 January") }

// at is when clocks in a zone show a time of that day: the first time where they are set back and show it twice, and
// the moment they are set forward where they skip it.
func (d day) at(clock time.Duration, zone *time.Location) time.Time {
	y, m, n := d.midnight().Date()
	hour, minute := int(clock/time.Hour), int(clock%time.Hour/time.Minute)
	want := time.Date(y, m, n, hour, minute, 0, 0, time.UTC)
	t := time.Date(y, m, n, hour, minute, 0, 0, zone)

	from, until := t.ZoneBounds()
	_, offset := t.Zone()
	switch shown := t.UTC().Add(time.Duration(offset) * time.Second); {
	case shown.Before(want):
		return until
	case shown.After(want):
		return from
	case from.IsZero():
		return t
	}

	_, before := from.Add(-time.Second).Zone()
	if early := t.Add(time.Duration(offset-before) * time.Second); early.Before(from) {
		return early
	}
	return t
}

// span is some days, the first and the last included.
type span struct{ From, To day }

func (s span) has(d day) bool { return s.From <= d && d <= s.To }

var spanWords = regexp.MustCompile(`^(\d{4}-\d\d-\d\d)(?:\s*(?:-|–|to|\.\.)\s*(\d{4}-\d\d-\d\d))?$`)

// parseSpan reads "2026-12-24", or "2026-12-24 to 2027-01-02".
func parseSpan(words string) (s span, ok bool) {
	found := spanWords.FindStringSubmatch(strings.TrimSpace(words))
	if found == nil {
		return s, false
	}
	s = span{day(found[1]), day(cmp.Or(found[2], found[1]))}
	for _, d := range []day{s.From, s.To} {
		if dayOf(d.midnight()) != d { // 2026-02-30
			return s, false
		}
	}
	return s, s.From <= s.To
}

func (s span) String() string {
	if s.From == s.To {
		return string(s.From)
	}
	return string(s.From) + " to " + string(s.To)
}

// location is the first of these zones that there is.
func location(names ...string) *time.Location {
	for _, name := range names {
		if in, err := time.LoadLocation(name); err == nil && name != "" && name != "Local" {
			return in
		}
	}
	return time.UTC
}

// clockWords is a time of day as it is shown.
func clockWords(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d/time.Hour), int(d%time.Hour/time.Minute))
}

// Whom Slack knows.

// profile is what Slack says of a person.
type profile struct {
	name, zone string
	gone       string // why they can't be asked, as in "Sam is at another company"; "" when they can
}

// profileOf asks Slack about a person. Without the permission to, it is empty.
func profileOf(ctx context.Context, r *bot.Request, user string) (profile, error) {
	if len(r.Missing("users:read")) > 0 {
		return profile{}, nil
	}
	u, err := r.Client.GetUserInfoContext(ctx, user)
	switch slackapi.SlackError(err) {
	case "user_not_found", "users_not_found", "user_not_visible":
		return profile{name: "Somebody", gone: "isn't in this workspace"}, nil
	case "missing_scope": // it was taken back a moment ago
		return profile{}, nil
	}
	if err != nil {
		return profile{}, fmt.Errorf("ask about a person: %w", err)
	}

	known := profile{name: mrkdwn.Short(cmp.Or(u.RealName, u.Profile.RealName, u.Name)), zone: u.TZ}
	c := r.Connection
	switch {
	case u.Deleted:
		known.gone = "has a deactivated account"
	case u.IsBot, user == "USLACKBOT": // which Slack says is none
		known.gone = "is an app"
	case u.IsStranger, u.TeamID != r.TeamID && u.TeamID != c.TeamID &&
		(c.EnterpriseID == "" || u.Enterprise.EnterpriseID != c.EnterpriseID):
		known.gone = "is at another company"
	}
	return known, nil
}

// Setting it up.

// setUpStandup opens the window that sets up a channel's standup, or changes it.
func setUpStandup(ctx context.Context, c *bot.Command) error {
	if c.Text != "" {
		return &bot.UserError{Text: "I don't know “" + mrkdwn.Name(c.Text) + "”. Type `/standup help` to see what works."}
	}
	view, err := standupWindow(ctx, c.Request, c.ChannelID)
	if err != nil {
		return err
	}
	_, err = c.OpenModal(ctx, view)
	return err
}

// changeStandup is the same, from a button whose value is the channel.
func changeStandup(ctx context.Context, a *bot.Action) error {
	view, err := standupWindow(ctx, a.Request, a.Value)
	if err != nil {
		return err
	}
	_, err = a.OpenModal(ctx, view)
	return err
}

// standupWaits are the times that the summary can wait, in minutes.
var standupWaits = []struct{ words, minutes string }{
	{"30 minutes", "30"}, {"1 hour", "60"}, {"2 hours", "120"}, {"4 hours", "240"}, {"8 hours", "480"},
}

// weekdays are those of a week as standupPlan has them.
var weekdays = []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}

// standupWindow is the form, with what is set up already.
func standupWindow(ctx context.Context, r *bot.Request, channel string) (view slack.ModalViewRequest, err error) {
	if strings.HasPrefix(channel, "D") {
		return view, &bot.UserError{Text: "Type `/standup` in the channel that is to get the summary."}
	}
	var plan standupPlan
	found, err := r.Store().Get(ctx, planKey(channel), &plan)
	if err != nil {
		return view, err
	}
	if !found {
		plan = standupPlan{At: 9*time.Hour + 30*time.Minute, Days: weekdays[:5], Wait: 2 * time.Hour}
	}

	most := standupPeople
	people := slack.NewOptionsMultiSelectBlockElement(slack.MultiOptTypeUser, formText("Choose people"), "people")
	people.MaxSelectedItems = &most
	for _, in := range plan.People {
		people.InitialUsers = append(people.InitialUsers, in.ID)
	}
	at := slack.NewTimePickerBlockElement("at")
	at.InitialTime = clockWords(plan.At)

	intro := "Everybody is asked in a direct message, and <#" + channel + "> gets one summary."
	blocks := []slack.Block{
		mrkdwn.Section(intro),
		slack.NewInputBlock("people", formText("Who is asked?"), nil, people),
		slack.NewInputBlock("at", formText("At what time?"), formText("In everybody's own time zone."), at),
		slack.NewInputBlock("days", formText("On which days?"), nil, dayBoxes(plan.Days)),
		slack.NewInputBlock("wait", formText("How long does the summary wait?"),
			formText("It comes when everybody has answered, at the latest so long after the last person was asked."),
			waitMenu(plan.Wait)),
		offInput(plan.Off, dayOf(r.Now())),
	}
	if len(r.Missing("users:read")) > 0 {
		blocks = append(blocks, zoneInput(plan.Zone))
	}

	title, submit := "Set up a standup", "Start"
	if found {
		title, submit = "Change the standup", "Save"
	}
	return slack.ModalViewRequest{
		Type: slack.VTModal, CallbackID: standupForm, PrivateMetadata: channel, Title: formText(title),
		Submit: formText(submit), Close: formText("Cancel"), Blocks: slack.Blocks{BlockSet: blocks},
	}, nil
}

func dayBoxes(chosen []string) *slack.CheckboxGroupsBlockElement {
	boxes := slack.NewCheckboxGroupsBlockElement("days")
	for i, d := range weekdays {
		box := bot.NewOption(time.Weekday((i+1)%7).String(), d)
		boxes.Options = append(boxes.Options, box)
		if slices.Contains(chosen, d) {
			boxes.InitialOptions = append(boxes.InitialOptions, box)
		}
	}
	return boxes
}

func waitMenu(chosen time.Duration) *slack.SelectBlockElement {
	menu := slack.NewOptionsSelectBlockElement(slack.OptTypeStatic, nil, "wait")
	for _, w := range standupWaits {
		option := bot.NewOption(w.words, w.minutes)
		menu.Options = append(menu.Options, option)
		if w.minutes == fmt.Sprint(int(chosen.Minutes())) {
			menu.InitialOption = option
		}
	}
	return menu
}

// offInput takes days off, one a line. Slack's own picker takes a single date.
func offInput(off []span, today day) *slack.InputBlock {
	text := slack.NewPlainTextInputBlockElement(nil, "off")
	text.Multiline, text.MaxLength = true, mrkdwn.MaxText
	text.InitialValue = strings.Join(offFrom(off, today), "\n")

	input := slack.NewInputBlock("off", formText("Days off"),
		formText("One a line: 2026-12-24, or 2026-12-24 to 2027-01-01. Nobody is asked then."), text)
	input.Optional = true
	return input
}

// offFrom are days off as they are written, without those that are over.
func offFrom(off []span, today day) (lines []string) {
	for _, s := range off {
		if s.To >= today {
			lines = append(lines, s.String())
		}
	}
	return lines
}

// zoneInput asks for a time zone where Slack doesn't say any.
func zoneInput(zone string) *slack.InputBlock {
	text := slack.NewPlainTextInputBlockElement(formText("Europe/Vienna"), "zone")
	text.InitialValue = zone
	return slack.NewInputBlock("zone", formText("In which time zone?"), formText("I'm not allowed to see people's time "+
		"zones, so everybody is asked by this one. A name such as Europe/Vienna or America/New_York."), text)
}

// standupFields are what was put into the form.
type standupFields struct {
	People []string      `block:"people"`
	At     time.Duration `block:"at"`
	Days   []string      `block:"days"`
	Wait   int           `block:"wait"`
	Off    string        `block:"off"`
	Zone   string        `block:"zone"`
}

// keepStandup keeps what the form says, sets everybody's timer, and tells the channel.
func keepStandup(ctx context.Context, s *bot.Submission) error {
	channel := s.Payload.View.PrivateMetadata
	plan, wrong, err := readStandup(ctx, s)
	switch {
	case err != nil:
		return err
	case len(wrong) > 0:
		return s.Errors(wrong)
	}

	var was, kept standupPlan
	err = bot.Update(ctx, s.Store(), planKey(channel), func(p *standupPlan) error {
		was = *p
		kept = plan.after(was, s.Now())
		*p = kept
		return nil
	})
	if err != nil {
		return err
	}
	for _, in := range kept.People {
		if err := askNext(ctx, s.Request, channel, &kept, &in, ""); err != nil {
			return err
		}
	}

	text := "Saved. " + kept.words(channel)
	if !reflect.DeepEqual(was, kept) { // else it is the second press of the same button
		text += announce(ctx, s, channel, &kept, was.By == "")
	}
	return s.Respond(ctx, bot.Text(text))
}

// readStandup reads the form, and finds what is wrong in it.
func readStandup(ctx context.Context, s *bot.Submission) (plan standupPlan, wrong bot.FieldErrors, err error) {
	var form standupFields
	if err := s.Decode(&form); err != nil {
		if errors.As(err, &wrong) {
			return plan, wrong, nil
		}
		return plan, nil, err
	}

	wrong = bot.FieldErrors{}
	off, bad := parseSpans(form.Off)
	if bad != "" {
		wrong["off"] = "“" + mrkdwn.Short(bad) + "” is no date. Write 2026-12-24, or 2026-12-24 to 2027-01-01."
	}
	if form.Zone != "" && location(form.Zone).String() != form.Zone {
		wrong["zone"] = "I don't know this time zone. Write a name such as Europe/Vienna or America/New_York."
	}
	if len(form.People) > standupPeople {
		wrong["people"] = fmt.Sprintf("Choose at most %d people.", standupPeople)
	}
	if len(wrong) > 0 {
		return plan, wrong, nil
	}

	plan = standupPlan{
		By: s.UserID, Zone: form.Zone, At: form.At, Days: form.Days, Off: off, Wait: time.Duration(form.Wait) * time.Minute,
	}
	if plan.People, wrong["people"], err = participants(ctx, s.Request, form.People); err != nil {
		return plan, nil, err
	}
	if wrong["people"] == "" {
		wrong = nil
	}
	if plan.Zone == "" {
		own, err := profileOf(ctx, s.Request, s.UserID)
		if err != nil {
			return plan, nil, err
		}
		plan.Zone = location(own.zone).String()
	}
	return plan, wrong, tooMany(ctx, s.Store(), s.Payload.View.PrivateMetadata)
}

// participants asks Slack about people. says names those who can't be asked.
func participants(ctx context.Context, r *bot.Request, users []string) (people []participant, says string, err error) {
	known := make([]profile, len(users))
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(standupLookups)
	for i, user := range users {
		asking.Go(func() (err error) {
			known[i], err = profileOf(ctx, r, user)
			return err
		})
	}
	if err := asking.Wait(); err != nil {
		return nil, "", err
	}

	var gone []string
	for i, user := range users {
		people = append(people, participant{ID: user, Zone: known[i].zone})
		if known[i].gone != "" {
			gone = append(gone, known[i].name+" "+known[i].gone+".")
		}
	}
	if len(gone) > 0 {
		says = mrkdwn.Clip(strings.Join(gone, " "), 1000) + " Only people of this workspace can be asked."
	}
	return people, says, nil
}

// tooMany refuses another standup where there are as many as there can be.
func tooMany(ctx context.Context, store bot.Store, channel string) error {
	all, err := standups(ctx, store)
	if _, known := all[channel]; err != nil || known || len(all) < standupsInAll {
		return err
	}
	return &bot.UserError{Text: fmt.Sprintf("This workspace has %d standups, and that is the most. End one with "+
		"`/standup stop` in its channel.", standupsInAll)}
}

// parseSpans reads days off, one a line. bad is the first line that is none.
func parseSpans(lines string) (all []span, bad string) {
	for line := range strings.FieldsFuncSeq(lines, func(r rune) bool { return r == '\n' || r == ',' }) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		one, ok := parseSpan(line)
		if !ok {
			return nil, line
		}
		all = append(all, one)
	}
	return all, ""
}

// after is p in the place of was: whoever is in both and asked at the same time keeps what is known of them.
func (p standupPlan) after(was standupPlan, now time.Time) standupPlan {
	p.People = slices.Clone(p.People)
	for i := range p.People {
		in := &p.People[i]
		in.Since = now.UTC()
		if old := was.person(in.ID); old != nil {
			in.Zone = cmp.Or(in.Zone, old.Zone)
			if was.At == p.At {
				in.Since = old.Since
			}
		}
	}
	return p
}

// words say what is set up.
func (p *standupPlan) words(channel string) string {
	if len(p.People) == 0 {
		return "Nobody is asked."
	}
	var people, unknown []string
	for _, in := range p.People {
		people = append(people, mrkdwn.Person(in.ID))
		if in.Zone == "" {
			unknown = append(unknown, mrkdwn.Person(in.ID))
		}
	}

	clock := clockWords(p.At)
	if len(unknown) < len(people) {
		clock += " in their own time zone"
	} else {
		clock += " (" + p.Zone + ")"
	}
	are := " are"
	if len(people) == 1 {
		are = " is"
	}
	text := fmt.Sprintf("%s%s asked at %s, %s. <#%s> gets the summary when everybody has answered, at the latest %s "+
		"after the last person was asked.", connection.And(people), are, clock, daysWords(p.Days), channel, waitWords(p.Wait))
	if len(unknown) > 0 {
		text += fmt.Sprintf(" ⚠️ I don't know the time zone of %s, so I go by %s there.", connection.And(unknown), p.Zone)
	}
	return text
}

func daysWords(days []string) string {
	switch strings.Join(days, " ") {
	case "Mon Tue Wed Thu Fri":
		return "on weekdays"
	case strings.Join(weekdays, " "):
		return "every day"
	}
	return "on " + connection.And(days)
}

func waitWords(wait time.Duration) string {
	for _, w := range standupWaits {
		if w.minutes == fmt.Sprint(int(wait.Minutes())) {
			return w.words
		}
	}
	return wait.String()
}

// announce tells the channel, which also shows whether the app can write there. It returns what is to be done if not.
func announce(ctx context.Context, s *bot.Submission, channel string, plan *standupPlan, first bool) (trouble string) {
	text := mrkdwn.Person(s.UserID) + " changed the standup of this channel. `/standup show` says how." // notifies nobody
	if first {
		text = fmt.Sprintf("%s set up a standup here. %s To leave it, type `/standup leave`.", mrkdwn.Person(s.UserID),
			plan.words(channel))
	}
	_, _, err := s.Client.PostMessageContext(ctx, channel, slack.MsgOptionText(text, false))
	if err == nil {
		return ""
	}
	s.Log.InfoContext(ctx, "tell a channel of its standup", "cause", err)
	return "\n⚠️ " + unpostable(s.Request, channel, err)
}

// unpostable says why a channel didn't take a message, and what to do about it.
func unpostable(r *bot.Request, channel string, err error) string {
	app := r.Install.App().Name
	switch code := slackapi.SlackError(err); {
	case code == "not_in_channel", code == "channel_not_found":
		return fmt.Sprintf("%s isn't in <#%s>, so it can't post there. Type `/invite @%s` in the channel.", app, channel,
			mrkdwn.Name(app))
	case code == "is_archived":
		return fmt.Sprintf("<#%s> is archived, so %s can't post there.", channel, app)
	case strings.HasPrefix(code, "restricted_action"):
		return fmt.Sprintf("Only some people can post in <#%s>, and %s isn't one of them. Ask an admin to allow it.", channel,
			app)
	case code == "":
		return fmt.Sprintf("%s couldn't post in <#%s>.", app, channel)
	default:
		return fmt.Sprintf("%s couldn't post in <#%s>. Slack says %s.", app, channel, mrkdwn.Code(code))
	}
}

// Asking.

// askNext sets a person's timer for the next time after now, and not on a day up to last. Set twice it is still one.
func askNext(ctx context.Context, r *bot.Request, channel string, plan *standupPlan, in *participant, last day) error {
	at, found := plan.next(in, r.Now(), last)
	if !found { // a year of days off
		return nil
	}
	return r.Schedule(ctx, standupAsks, askKey(channel, in.ID), at, nil)
}

// askPerson asks one person, if it is their time, and sets the timer for the next. Who isn't in the standup any longer
// has no next time.
func askPerson(ctx context.Context, t *bot.Timer) error {
	channel, user, _ := strings.Cut(t.Key, "/")
	var plan standupPlan
	found, err := t.Store().Get(ctx, planKey(channel), &plan)
	in := plan.person(user)
	if err != nil || !found || in == nil {
		return err
	}

	// The next time is set before Slack is asked anything, so that no trouble with Slack ends the asking for good.
	today, due, err := turn(ctx, t, channel, &plan, in)
	if err != nil {
		return err
	}
	known, err := profileOf(ctx, t.Request, user)
	switch {
	case err != nil:
		return err
	case known.gone != "":
		return dropPerson(ctx, t, channel, &plan, user, known)
	case known.zone != "" && known.zone != in.Zone:
		if err := moveTo(ctx, t.Store(), channel, in, known.zone); err != nil {
			return err
		}
		if today, due, err = turn(ctx, t, channel, &plan, in); err != nil {
			return err
		}
	}

	if !due {
		return nil
	}
	if err := ask(ctx, t, channel, &plan, today, user); err != nil {
		return err
	}
	return awaitSummary(ctx, t, channel, today)
}

// turn sets a person's timer for the next time, and reports whether now is one: what day it is for them, and whether
// they are to be asked.
func turn(ctx context.Context, t *bot.Timer, channel string, plan *standupPlan, in *participant) (today day, due bool,
	err error) {
	today = plan.today(in, t.Now())
	slot := plan.slot(in, today)
	due = plan.meets(today) && !slot.After(t.Now()) && !slot.Before(in.Since)

	last := day("")
	if due {
		last = today
	}
	return today, due, askNext(ctx, t.Request, channel, plan, in, last)
}

// moveTo keeps the zone of somebody who isn't where they were.
func moveTo(ctx context.Context, store bot.Store, channel string, in *participant, zone string) error {
	in.Zone = zone
	return changePlan(ctx, store, channel, func(p *standupPlan) {
		if same := p.person(in.ID); same != nil {
			same.Zone = zone
		}
	})
}

// ask sends one person their questions, once, unless they are away.
func ask(ctx context.Context, t *bot.Timer, channel string, plan *standupPlan, d day, user string) error {
	key := repliesKey(channel, d) + user
	var off span
	if _, err := t.Store().Get(ctx, awayKey(user), &off); err != nil {
		return err
	}
	var reply standupReply
	err := bot.Update(ctx, t.Store(), key, func(r *standupReply) error {
		if r.Claim == "" {
			r.Claim = t.EventID
		}
		r.Away = r.Away || !r.answered() && off.has(d)
		reply = *r
		return nil
	})
	if err != nil || reply.settled() || !reply.Asked.IsZero() || reply.Claim != t.EventID { // another delivery asks them
		return err
	}

	_, err = t.Say(ctx, user, questions(t.Store(), channel, plan.By, d))
	unreached := false
	switch slackapi.SlackError(err) {
	case "channel_not_found", "user_not_found", "user_disabled", "cannot_dm_bot", "messages_tab_disabled",
		"restricted_action":
		t.Log.InfoContext(ctx, "somebody can't be asked", "cause", err)
		unreached, err = true, nil
	}
	if err != nil {
		return fmt.Errorf("ask for a standup: %w", err)
	}
	return bot.Update(ctx, t.Store(), key, func(r *standupReply) error {
		r.Asked, r.Unreached = t.Now().UTC(), unreached
		return nil
	})
}

// questions is what somebody is asked with.
func questions(store bot.Store, channel, by string, d day) bot.Reply {
	text := fmt.Sprintf("It's time for the standup of <#%s>, %s: what did you do yesterday, what will you do today, and "+
		"is anything in your way?", channel, d.words())
	about := buttonFor(store, channel, d)
	answer, off := valued(standupAnswer, "Answer", "", about), valued(standupOff, "I'm away today", "", about)
	leave := valued(standupLeave, "Leave this standup", "", about)
	answer.Style = slack.StylePrimary
	leave.Confirm = slack.NewConfirmationBlockObject(formText("Leave this standup?"),
		mrkdwn.Text("You won't be asked for <#"+channel+"> any longer. Anybody there can add you again with `/standup`."),
		formText("Leave"), formText("Stay"))
	why := mrkdwn.Context(mrkdwn.Person(by) + " set this up. Everybody in <#" + channel + "> reads your answers.")
	return bot.Reply{Text: text, Blocks: []slack.Block{
		mrkdwn.Section(text), why, slack.NewActionBlock("", answer, off, leave),
	}}
}

// dropPerson takes somebody out who can't be asked any longer, and tells who set the standup up.
func dropPerson(ctx context.Context, t *bot.Timer, channel string, plan *standupPlan, user string,
	known profile) error {
	text := fmt.Sprintf("%s (%s) %s, so I've taken them out of the standup in <#%s>.", mrkdwn.Name(known.name),
		mrkdwn.Person(user), known.gone, channel)
	if _, err := t.Say(ctx, plan.By, bot.Text(text)); err != nil {
		t.Log.InfoContext(ctx, "tell who set up a standup", "cause", err)
	}
	return leave(ctx, t.Store(), channel, user)
}

// leave takes a person out of a standup.
func leave(ctx context.Context, store bot.Store, channel, user string) error {
	return changePlan(ctx, store, channel, func(p *standupPlan) {
		p.People = slices.DeleteFunc(p.People, func(in participant) bool { return in.ID == user })
	})
}

// Answering.

// answerStandup opens the questions of today, typed in the standup's channel, or anywhere by somebody who is in one.
func answerStandup(ctx context.Context, c *bot.Command) error {
	channel, plan, err := ownStandup(ctx, c)
	if err != nil {
		return err
	}
	in := plan.person(c.UserID)
	if in == nil {
		return notIn(channel)
	}
	today := plan.today(in, c.Now())
	if !plan.meets(today) {
		text := "There's no standup today."
		if at, found := plan.next(in, c.Now(), today); found {
			text += " The next one is on " + dayOf(at).words() + "."
		}
		return &bot.UserError{Text: text}
	}
	view, err := answerWindow(ctx, c.Request, answerOf{Team: c.Store().TeamID(), Channel: channel, Day: today})
	if err != nil {
		return err
	}
	_, err = c.OpenModal(ctx, view)
	return err
}

// ownStandup is the standup of the channel where a command was typed. Where there is none, it is the only one that the
// person is in.
func ownStandup(ctx context.Context, c *bot.Command) (channel string, plan standupPlan, err error) {
	all, err := standups(ctx, c.Store())
	if err != nil {
		return "", plan, err
	}
	if plan, found := all[c.ChannelID]; found {
		return c.ChannelID, plan, nil
	}

	var own []string
	for channel, plan := range all {
		if plan.person(c.UserID) != nil {
			own = append(own, channel)
		}
	}
	switch len(own) {
	case 0:
		return "", plan, &bot.UserError{Text: "There's no standup in this channel. To set one up, type `/standup`."}
	case 1:
		return own[0], all[own[0]], nil
	}
	slices.Sort(own)
	return "", plan, &bot.UserError{Text: "You're in several standups. Type this in the channel of the one you mean: <#" +
		strings.Join(own, ">, <#") + ">."}
}

func notIn(channel string) error {
	return &bot.UserError{Text: "You're not in the standup of <#" + channel + ">. To add yourself, type `/standup` there."}
}

// answerOf is what a window of questions is for.
type answerOf struct {
	Team    string // whose Store knows it
	Channel string
	Day     day
	DM, TS  string `json:",omitempty"` // the message that asked
}

// openAnswer opens the questions of a day, from the message that asked or from the summary.
func openAnswer(ctx context.Context, a *bot.Action) error {
	home, channel, d, _ := pressed(a)
	about := answerOf{Team: home.Store().TeamID(), Channel: channel, Day: d}
	if strings.HasPrefix(a.ChannelID, "D") {
		about.DM, about.TS = a.ChannelID, a.Payload.Message.Timestamp
	}
	view, err := answerWindow(ctx, home, about)
	if err != nil {
		return err
	}
	_, err = a.OpenModal(ctx, view)
	return err
}

// replyOf is a person's reply on a day of a standup that they are or were in.
func replyOf(ctx context.Context, r *bot.Request, about answerOf) (reply standupReply, err error) {
	plan, err := standupIn(ctx, r.Store(), about.Channel)
	if err != nil {
		return reply, err
	}
	found, err := r.Store().Get(ctx, repliesKey(about.Channel, about.Day)+r.UserID, &reply)
	switch {
	case err != nil:
		return reply, err
	case about.Day < dayOf(r.Now()).add(-standupKept):
		return reply, &bot.UserError{Text: fmt.Sprintf("That was more than %d days ago, so it can't be answered any longer.",
			standupKept)}
	case !found && plan.person(r.UserID) == nil:
		return reply, notIn(about.Channel)
	}
	return reply, nil
}

// answerWindow is the three questions, with what the person answered before.
func answerWindow(ctx context.Context, r *bot.Request, about answerOf) (view slack.ModalViewRequest, err error) {
	reply, err := replyOf(ctx, r, about)
	if err != nil {
		return view, err
	}
	kept, err := json.Marshal(about)
	if err != nil {
		return view, err
	}

	blockers := question("blockers", "Is anything in your way?", reply.Blockers)
	blockers.Optional = true
	return slack.ModalViewRequest{
		Type: slack.VTModal, CallbackID: standupAnswer, PrivateMetadata: string(kept), Title: formText("Standup"),
		Submit: formText("Send"), Close: formText("Cancel"), Blocks: slack.Blocks{BlockSet: []slack.Block{
			mrkdwn.Context("<#" + about.Channel + ">, " + about.Day.words()),
			question("yesterday", "What did you do yesterday?", reply.Yesterday),
			question("today", "What will you do today?", reply.Today),
			blockers,
		}},
	}, nil
}

func question(id, words, answer string) *slack.InputBlock {
	text := slack.NewPlainTextInputBlockElement(nil, "text")
	text.Multiline, text.MaxLength, text.InitialValue = true, standupLetters, answer
	return slack.NewInputBlock(id, formText(words), nil, text)
}

// keepAnswer keeps what somebody answered, in the place of what they answered before, and brings the summary up to
// date.
func keepAnswer(ctx context.Context, s *bot.Submission) error {
	var about answerOf
	if err := json.Unmarshal([]byte(s.Payload.View.PrivateMetadata), &about); err != nil {
		return fmt.Errorf("read what an answer is for: %w", err)
	}
	home := s.In(about.Team)
	if _, err := replyOf(ctx, home, about); err != nil {
		return err
	}
	said := [3]string{}
	wrong := map[string]string{}
	for i, id := range []string{"yesterday", "today", "blockers"} {
		if said[i] = strings.TrimSpace(s.Value(id)); said[i] == "" && id != "blockers" {
			wrong[id] = "Write a few words."
		}
	}
	if len(wrong) > 0 {
		return s.Errors(wrong)
	}

	err := bot.Update(ctx, home.Store(), repliesKey(about.Channel, about.Day)+s.UserID, func(r *standupReply) error {
		if r.answered() && said == [3]string{r.Yesterday, r.Today, r.Blockers} {
			return nil // pressed twice
		}
		r.Yesterday, r.Today, r.Blockers, r.Away = said[0], said[1], said[2], false
		r.Changed = s.Now().UTC()
		if !r.answered() {
			r.At = r.Changed
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := refreshSummary(ctx, home, about.Channel, about.Day); err != nil {
		return err
	}

	thanks := thanksFor(home.Store(), about.Channel, about.Day)
	if about.DM == "" {
		return s.Respond(ctx, bot.Text(thanks.Text))
	}
	if _, _, _, err := s.Client.UpdateMessageContext(ctx, about.DM, about.TS, slack.MsgOptionText(thanks.Text, false),
		slack.MsgOptionBlocks(thanks.Blocks...)); err != nil {
		s.Log.InfoContext(ctx, "say in a direct message that it was answered", "cause", err)
		return s.Respond(ctx, bot.Text(thanks.Text))
	}
	return nil
}

// thanksFor takes the place of the questions.
func thanksFor(store bot.Store, channel string, d day) bot.Reply {
	text := fmt.Sprintf("✅ Thanks. Your answers for %s are in the standup of <#%s>.", d.words(), channel)
	change := valued(standupAnswer, "Change them", "", buttonFor(store, channel, d))
	return bot.Reply{Text: text, Blocks: []slack.Block{mrkdwn.Section(text), slack.NewActionBlock("", change)}}
}

// Being away, and leaving.

// offToday is the button of somebody who was asked and is away that day.
func offToday(ctx context.Context, a *bot.Action) error {
	home, channel, d, _ := pressed(a)
	reply, err := replyOf(ctx, home, answerOf{Channel: channel, Day: d})
	switch {
	case err != nil:
		return err
	case reply.answered():
		return &bot.UserError{Text: "You've answered already, so you're in the summary."}
	}
	if err := setAway(ctx, home, channel, d, true); err != nil {
		return err
	}
	text := fmt.Sprintf("You're away on %s. The standup of <#%s> says so.", d.words(), channel)
	return a.Update(ctx, bot.Reply{Text: text, Blocks: []slack.Block{
		mrkdwn.Section(text), slack.NewActionBlock("", valued(standupAnswer, "Answer anyway", "", a.Value)),
	}})
}

// setAway notes that who acted is away on a day, or isn't, unless they have answered.
func setAway(ctx context.Context, r *bot.Request, channel string, d day, away bool) error {
	err := bot.Update(ctx, r.Store(), repliesKey(channel, d)+r.UserID, func(reply *standupReply) error {
		reply.Away = away && !reply.answered()
		return nil
	})
	if err != nil {
		return err
	}
	return refreshSummary(ctx, r, channel, d)
}

// skipStandup notes that somebody is away today, or until a date.
func skipStandup(ctx context.Context, c *bot.Command) error {
	own, today, err := standupsOf(ctx, c)
	if err != nil {
		return err
	}
	until := today
	if c.Text != "" {
		date, ok := parseSpan(c.Text)
		if until = date.To; !ok || date.From != date.To || until < today || until > today.add(366) {
			return &bot.UserError{Text: "Until when? Write a date from today on: `/standup skip " + string(today.add(7)) + "`."}
		}
	}
	off := span{today, until}
	life := until.add(3).midnight().Sub(c.Now())
	if err := c.Store().Put(ctx, awayKey(c.UserID), off, life); err != nil {
		return err
	}

	if err := awayToday(ctx, c, own, true); err != nil {
		return err
	}
	text := "You're away today, and I won't ask you again until tomorrow."
	if until > today {
		text = "You're away until " + until.words() + ", and I won't ask you until after that."
	}
	return c.Respond(ctx, bot.Text(text+" If you're back earlier, type `/standup back`."))
}

// endSkip notes that somebody is back.
func endSkip(ctx context.Context, c *bot.Command) error {
	own, _, err := standupsOf(ctx, c)
	if err != nil {
		return err
	}
	if err := c.Store().Delete(ctx, awayKey(c.UserID)); err != nil {
		return err
	}
	if err := awayToday(ctx, c, own, false); err != nil {
		return err
	}
	return c.Respond(ctx, bot.Text("Welcome back. If you weren't asked today, type `/standup answer`."))
}

// standupsOf are those that who typed a command is in, and what day it is for them.
func standupsOf(ctx context.Context, c *bot.Command) (own map[string]standupPlan, today day, err error) {
	all, err := standups(ctx, c.Store())
	if err != nil {
		return nil, "", err
	}
	own = map[string]standupPlan{}
	for channel, plan := range all {
		if in := plan.person(c.UserID); in != nil {
			own[channel], today = plan, plan.today(in, c.Now())
		}
	}
	if len(own) == 0 {
		return nil, "", &bot.UserError{Text: "You're not in any standup here."}
	}
	return own, today, nil
}

// awayToday notes in standups of today whether the person is away, where they were asked already.
func awayToday(ctx context.Context, c *bot.Command, own map[string]standupPlan, away bool) error {
	for channel, plan := range own {
		today := plan.today(plan.person(c.UserID), c.Now())
		var reply standupReply
		found, err := c.Store().Get(ctx, repliesKey(channel, today)+c.UserID, &reply)
		if err != nil {
			return err
		}
		if found {
			if err := setAway(ctx, c.Request, channel, today, away); err != nil {
				return err
			}
		}
	}
	return nil
}

// leaveByCommand takes who typed it out of the channel's standup.
func leaveByCommand(ctx context.Context, c *bot.Command) error {
	text, err := leaveToday(ctx, c.Request, c.ChannelID)
	if err != nil {
		return err
	}
	return c.Respond(ctx, bot.Text(text))
}

// leaveByButton is the same, from the message that asked.
func leaveByButton(ctx context.Context, a *bot.Action) error {
	home, channel, _, _ := pressed(a)
	text, err := leaveToday(ctx, home, channel)
	if err != nil {
		return err
	}
	return a.Update(ctx, bot.Text(text))
}

// leaveToday takes who acted out of a standup and of its summary of today, if they haven't answered.
func leaveToday(ctx context.Context, r *bot.Request, channel string) (text string, err error) {
	plan, err := standupIn(ctx, r.Store(), channel)
	if err != nil {
		return "", err
	}
	in := plan.person(r.UserID)
	if in == nil {
		return "", notIn(channel)
	}
	today := plan.today(in, r.Now())
	if err := leave(ctx, r.Store(), channel, r.UserID); err != nil {
		return "", err
	}
	text = "You've left the standup of <#" + channel + ">. To come back, type `/standup` there and add yourself."
	return text, refreshSummary(ctx, r, channel, today)
}

// The summary.

// standupDay is all that is known of a day of a standup.
type standupDay struct {
	store   bot.Store // that knows it
	channel string
	day     day
	plan    standupPlan
	replies map[string]standupReply // by person
	posted  standupPosted
}

// loadDay reads a day; not found: there is no such standup any longer.
func loadDay(ctx context.Context, store bot.Store, channel string, d day) (s standupDay, found bool, err error) {
	s = standupDay{store: store, channel: channel, day: d, replies: map[string]standupReply{}}
	if found, err = store.Get(ctx, planKey(channel), &s.plan); err != nil || !found {
		return s, false, err
	}
	if _, err := store.Get(ctx, postedKey(channel, d), &s.posted); err != nil {
		return s, false, err
	}
	for entry, err := range store.List(ctx, repliesKey(channel, d)) {
		if err != nil {
			return s, false, err
		}
		var reply standupReply
		if err := entry.Decode(&reply); err != nil {
			return s, false, err
		}
		s.replies[strings.TrimPrefix(entry.Key, repliesKey(channel, d))] = reply
	}
	return s, true, nil
}

// people are those whom the day is about: who answered, and who is in the standup and was asked or will be.
func (s *standupDay) people() (all []string) {
	for _, in := range s.plan.People {
		_, met := s.replies[in.ID]
		if met || s.plan.meets(s.day) && !s.plan.slot(&in, s.day).Before(in.Since) {
			all = append(all, in.ID)
		}
	}
	for _, user := range slices.Sorted(maps.Keys(s.replies)) {
		if s.replies[user].answered() && !slices.Contains(all, user) { // they have left since
			all = append(all, user)
		}
	}
	return all
}

// began reports whether somebody was asked or answered. On a day on which everybody is away there is no summary.
func (s *standupDay) began() bool {
	return slices.ContainsFunc(s.people(), func(user string) bool {
		return !s.replies[user].Asked.IsZero() || s.replies[user].answered()
	})
}

// complete reports whether there is nobody to wait for.
func (s *standupDay) complete() bool {
	return !slices.ContainsFunc(s.people(), func(user string) bool { return !s.replies[user].settled() })
}

// deadline is until when the summary waits.
func (s *standupDay) deadline() time.Time {
	var last time.Time
	for _, user := range s.people() {
		asked := s.replies[user].Asked
		if in := s.plan.person(user); in != nil && asked.IsZero() {
			asked = s.plan.slot(in, s.day)
		}
		if asked.After(last) {
			last = asked
		}
	}
	return last.Add(s.plan.Wait)
}

// awaitSummary sets the timer of a day's summary, when somebody was asked.
func awaitSummary(ctx context.Context, t *bot.Timer, channel string, d day) error {
	s, found, err := loadDay(ctx, t.Store(), channel, d)
	if err != nil || !found {
		return err
	}
	if s.began() && s.complete() {
		return refreshSummary(ctx, t.Request, channel, d)
	}
	return t.Schedule(ctx, standupSums, sumKey(channel, d), s.deadline(), nil)
}

// refreshSummary has the summary of a day looked at again, now that something changed. Each change has a timer of its
// own, beside the one that waits for the deadline.
func refreshSummary(ctx context.Context, r *bot.Request, channel string, d day) error {
	return r.Schedule(ctx, standupSums, sumKey(channel, d)+"/"+r.Ref, r.Now(), nil)
}

// sumUp posts the summary of a day when it is time, and changes it afterwards.
func sumUp(ctx context.Context, t *bot.Timer) error {
	channel, d, _ := aboutDay(t.Key)
	if d < dayOf(t.Now()).add(-standupKept) {
		return nil // its answers are deleted, or about to be, and what was posted stays as it is
	}
	s, found, err := loadDay(ctx, t.Store(), channel, d)
	if err != nil || !found || !s.began() && s.posted.TS == "" {
		return err
	}

	if s.posted.TS == "" {
		if deadline := s.deadline(); !s.complete() && t.Now().Before(deadline) { // somebody was asked later
			return t.Schedule(ctx, standupSums, sumKey(channel, d), deadline, nil)
		}
		said := s.summary()
		if posted, err := postSummary(ctx, t, &s, said); err != nil || !posted {
			return err
		}
		if err := tidy(ctx, t, &s); err != nil {
			return err
		}
		return keepCurrent(ctx, t, &s, said)
	}
	return keepCurrent(ctx, t, &s, bot.Reply{})
}

// postSummary posts the summary of a day, once. It reports whether it did: another delivery may be about to, or the
// channel doesn't take it.
func postSummary(ctx context.Context, t *bot.Timer, s *standupDay, said bot.Reply) (done bool, err error) {
	key := postedKey(s.channel, s.day)
	err = bot.Update(ctx, t.Store(), key, func(p *standupPosted) error {
		if done = p.TS == "" && (p.Claim == "" || p.Claim == t.EventID || t.Now().Sub(p.Claimed) > summaryClaim); done {
			p.Claim, p.Claimed = t.EventID, t.Now().UTC()
		}
		return nil
	})
	if err != nil || !done {
		return false, err
	}

	ts, err := t.Say(ctx, s.channel, said)
	switch code := slackapi.SlackError(err); {
	case code == "not_in_channel", code == "channel_not_found", code == "is_archived", code == "no_permission",
		strings.HasPrefix(code, "restricted_action"): // also restricted_action_read_only_channel and its like
		return false, errors.Join(unclaim(ctx, t, key), tellUnposted(ctx, t, s, err))
	case err != nil:
		return false, fmt.Errorf("post the summary of a standup: %w", err)
	}

	err = bot.Update(ctx, t.Store(), key, func(p *standupPosted) error {
		*p = standupPosted{TS: ts, At: p.Claimed}
		s.posted = *p
		return nil
	})
	if err == nil && len(s.plan.Unposted) > 0 {
		err = setUnposted(ctx, t.Store(), s.channel, nil)
	}
	return err == nil, err
}

func unclaim(ctx context.Context, t *bot.Timer, key string) error {
	return bot.Update(ctx, t.Store(), key, func(p *standupPosted) error {
		if p.Claim == t.EventID {
			p.Claim = ""
		}
		return nil
	})
}

// setUnposted notes for which days a channel took no summary.
func setUnposted(ctx context.Context, store bot.Store, channel string, days []day) error {
	return changePlan(ctx, store, channel, func(p *standupPlan) { p.Unposted = days })
}

// tellUnposted tells who set up a standup that its channel takes no summary, once until it does. Where nobody ever
// reads one, in a channel that is archived or takes none for days, the standup ends.
func tellUnposted(ctx context.Context, t *bot.Timer, s *standupDay, refused error) error {
	if slices.Contains(s.plan.Unposted, s.day) {
		return nil
	}
	days := append(slices.Clone(s.plan.Unposted), s.day)
	over := slackapi.SlackError(refused) == "is_archived" || len(days) == standupUnposted

	text := fmt.Sprintf("The standup of %s has no summary. %s", s.day.words(), unpostable(t.Request, s.channel, refused))
	r := bot.Reply{Text: text + " Then press Post it.", Blocks: []slack.Block{mrkdwn.Section(text),
		slack.NewActionBlock("", valued(standupPost, "Post it", "", buttonFor(t.Store(), s.channel, s.day)))}}
	if over {
		r = bot.Text(text + " I've ended this standup, because nobody could read it.")
	}
	if over || len(days) == 1 {
		if _, err := t.Say(ctx, s.plan.By, r); err != nil {
			t.Log.InfoContext(ctx, "tell who set up a standup", "cause", err)
		}
	}

	if over {
		return endStandup(ctx, t.Store(), s.channel)
	}
	return setUnposted(ctx, t.Store(), s.channel, days)
}

// postAgain is the button of who was told that a summary couldn't be posted.
func postAgain(ctx context.Context, a *bot.Action) error {
	home, channel, d, _ := pressed(a)
	if _, err := standupIn(ctx, home.Store(), channel); err != nil {
		return err
	}
	if err := setUnposted(ctx, home.Store(), channel, nil); err != nil {
		return err
	}
	if err := refreshSummary(ctx, home, channel, d); err != nil {
		return err
	}
	return a.Update(ctx, bot.Text(fmt.Sprintf("I'm posting the standup of %s in <#%s>. If that doesn't work, you hear "+
		"of it here.", d.words(), channel)))
}

// keepCurrent changes the posted summary, which shows this, until it shows what is kept. Two deliveries can do that at
// the same time, and Slack take their changes in any order: whichever comes last looks again afterwards.
func keepCurrent(ctx context.Context, t *bot.Timer, s *standupDay, shown bot.Reply) error {
	for {
		now, found, err := loadDay(ctx, t.Store(), s.channel, s.day)
		if err != nil || !found {
			return err
		}
		said := now.summary()
		if reflect.DeepEqual(said, shown) {
			return nil
		}
		_, _, _, err = t.Client.UpdateMessageContext(ctx, s.channel, now.posted.TS, slack.MsgOptionText(said.Text, false),
			slack.MsgOptionBlocks(said.Blocks...))
		switch slackapi.SlackError(err) {
		case "message_not_found", "channel_not_found", "not_in_channel", "is_archived", "cant_update_message":
			t.Log.InfoContext(ctx, "a summary can't be changed any longer", "cause", err)
			return nil
		}
		if err != nil {
			return fmt.Errorf("change the summary of a standup: %w", err)
		}
		shown = said
	}
}

// tidy deletes what is older than standupKept, and sets the timer of somebody who should have been asked and wasn't.
func tidy(ctx context.Context, t *bot.Timer, s *standupDay) error {
	for _, user := range s.people() {
		if in := s.plan.person(user); in != nil && s.replies[user] == (standupReply{}) {
			if err := askNext(ctx, t.Request, s.channel, &s.plan, in, s.day); err != nil {
				return err
			}
		}
	}
	oldest := s.day.add(-standupKept - 1)
	return errors.Join(
		forget(ctx, t.Store(), strings.TrimSuffix(repliesKey(s.channel, ""), "/"), oldest),
		forget(ctx, t.Store(), postedKey(s.channel, ""), oldest),
	)
}

// forget deletes what is kept of days before one, under keys that begin with prefix and the day.
func forget(ctx context.Context, store bot.Store, prefix string, before day) error {
	var old []string
	for entry, err := range store.List(ctx, prefix) {
		if err != nil {
			return err
		}
		if strings.TrimPrefix(entry.Key, prefix) >= string(before) { // they come in their order
			break
		}
		old = append(old, entry.Key)
	}
	for _, key := range old {
		if err := store.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// summary is the message of a day.
func (s *standupDay) summary() bot.Reply {
	var answered, missing, away, unreached []string
	for _, user := range s.people() {
		switch reply := s.replies[user]; {
		case reply.answered():
			answered = append(answered, user)
		case reply.Away:
			away = append(away, mrkdwn.Person(user))
		case reply.Unreached:
			unreached = append(unreached, mrkdwn.Person(user))
		default:
			missing = append(missing, mrkdwn.Person(user))
		}
	}

	text := fmt.Sprintf("Standup of %s: %d of %d answered.", s.day.words(), len(answered),
		len(answered)+len(missing)+len(unreached))
	blocks := []slack.Block{mrkdwn.Header("Standup of " + s.day.words())}
	shown := min(len(answered), summaryAnswers)
	for _, user := range answered[:shown] {
		blocks = append(blocks, s.answer(user, summaryLetters/shown))
	}
	var more []string
	for _, user := range answered[shown:] {
		more = append(more, mrkdwn.Person(user))
	}
	for _, line := range []struct {
		mark, words string
		people      []string
	}{
		{"✅", "Answered, too", more}, {"⏳", "Still missing", missing}, {"🌴", "Away", away},
		{"⚠️", "I couldn't write to", unreached},
	} {
		if len(line.people) > 0 {
			said := line.words + ": " + connection.And(line.people) + "."
			blocks, text = append(blocks, mrkdwn.Context(line.mark+" "+said)), text+" "+said
		}
	}
	blocks = append(blocks, slack.NewActionBlock("",
		valued(standupAnswer, "Add or change my answer", "", buttonFor(s.store, s.channel, s.day))))
	return bot.Reply{Text: text, Blocks: blocks}
}

// answer is what one person answered, in so many characters, with a button to read it all where they are too few.
func (s *standupDay) answer(user string, most int) slack.Block {
	reply := s.replies[user]
	lines := []string{mrkdwn.Person(user)}
	switch posted := s.posted.At; {
	case posted.IsZero():
	case reply.At.After(posted):
		lines[0] += " _(late)_"
	case reply.Changed.After(posted):
		lines[0] += " _(edited)_"
	}

	clipped := false
	for _, part := range reply.parts() {
		short := mrkdwn.Clip(part.answer, min(most, summaryLettersEach)/3)
		clipped = clipped || short != part.answer
		lines = append(lines, "*"+part.name+":* "+harmless(short))
	}
	text := strings.Join(lines, "\n")
	clipped = clipped || utf8.RuneCountInString(text) > mrkdwn.MaxText

	section := slack.NewSectionBlock(mrkdwn.Text(text), nil, nil, slack.SectionBlockOptionExpand(true))
	if clipped {
		about := buttonFor(s.store, s.channel, s.day) + "/" + user
		section.Accessory = slack.NewAccessory(valued(standupRead, "Read all", "", about))
	}
	return section
}

// answerPart is a question in a word, and its answer.
type answerPart struct{ name, answer string }

func (r standupReply) parts() (parts []answerPart) {
	parts = []answerPart{{"Yesterday", r.Yesterday}, {"Today", r.Today}}
	if r.Blockers != "" {
		parts = append(parts, answerPart{"Blockers", r.Blockers})
	}
	return parts
}

// harmless is what somebody wrote, as text that mentions nobody and leaves no code open.
func harmless(words string) string {
	if strings.Count(words, "```")%2 == 1 {
		words += "```"
	}
	return mrkdwn.Escape(words)
}

// readAnswer shows one person's answers in full.
func readAnswer(ctx context.Context, a *bot.Action) error {
	home, channel, d, user := pressed(a)
	var reply standupReply
	found, err := home.Store().Get(ctx, repliesKey(channel, d)+user, &reply)
	if err != nil {
		return err
	}
	if !found {
		return &bot.UserError{Text: fmt.Sprintf("Answers are kept for %d days, so this one is gone.", standupKept)}
	}

	blocks := []slack.Block{mrkdwn.Section(mrkdwn.Person(user) + ", " + d.words())}
	for _, part := range reply.parts() {
		blocks = append(blocks, mrkdwn.Header(part.name))
		for _, piece := range mrkdwn.Split(harmless(part.answer), mrkdwn.MaxText) {
			blocks = append(blocks, mrkdwn.Whole(piece))
		}
	}
	_, err = a.OpenModal(ctx, slack.ModalViewRequest{
		Type: slack.VTModal, Title: formText("Standup"), Close: formText("Close"), Blocks: slack.Blocks{BlockSet: blocks},
	})
	return err
}

// Showing and ending it.

// showStandup says what is set up in a channel, and how today's standup stands.
func showStandup(ctx context.Context, c *bot.Command) error {
	plan, err := standupIn(ctx, c.Store(), c.ChannelID)
	if err != nil {
		return err
	}
	lines := []string{plan.words(c.ChannelID)}
	if coming := offFrom(plan.Off, dayOf(c.Now())); len(coming) > 0 {
		lines = append(lines, "Days off: "+mrkdwn.Clip(strings.Join(coming, ", "), 500)+".")
	}

	today := dayOf(c.Now().In(location(plan.Zone)))
	var buttons []slack.BlockElement
	if in := plan.person(c.UserID); in != nil {
		today = plan.today(in, c.Now())
		if plan.meets(today) {
			buttons = append(buttons, valued(standupAnswer, "Answer", "", buttonFor(c.Store(), c.ChannelID, today)))
		}
		if at, found := plan.next(in, c.Now(), ""); found {
			lines = append(lines, "You're asked next: "+mrkdwn.Time(english, at)+".")
		}
	}
	s, _, err := loadDay(ctx, c.Store(), c.ChannelID, today)
	if err != nil {
		return err
	}
	if s.began() {
		lines = append(lines, s.summary().Text)
	}

	buttons = append(buttons, valued(standupChange, "Change it", "", c.ChannelID))
	return c.Respond(ctx, bot.Reply{Text: strings.Join(lines, " "), Blocks: []slack.Block{
		mrkdwn.Section(strings.Join(lines, "\n")), slack.NewActionBlock("", buttons...),
	}})
}

// askToStop asks whether one is sure.
func askToStop(ctx context.Context, c *bot.Command) error {
	plan, err := standupIn(ctx, c.Store(), c.ChannelID)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("This ends the standup of <#%s> for everybody (%d people), and deletes its answers. Summaries in "+
		"the channel stay. To stop only for yourself, type `/standup leave`.", c.ChannelID, len(plan.People))
	stop := valued(standupStop, "End the standup", "", c.ChannelID)
	stop.Style = slack.StyleDanger
	return c.Respond(ctx, bot.Reply{Text: text, Blocks: []slack.Block{
		mrkdwn.Section(text), slack.NewActionBlock("", stop),
	}})
}

// stopStandup ends a channel's standup, and tells the channel who did.
func stopStandup(ctx context.Context, a *bot.Action) error {
	channel := a.Value
	if _, err := standupIn(ctx, a.Store(), channel); err != nil {
		return err
	}
	if err := endStandup(ctx, a.Store(), channel); err != nil {
		return err
	}
	text := mrkdwn.Person(a.UserID) + " ended the standup of this channel."
	if _, _, err := a.Client.PostMessageContext(ctx, channel, slack.MsgOptionText(text, false)); err != nil {
		a.Log.InfoContext(ctx, "tell a channel that its standup ended", "cause", err)
	}
	return a.Update(ctx, bot.Text("The standup of <#"+channel+"> has ended, and its answers are deleted."))
}

// endStandup deletes all that is kept of a channel's standup. Its timers find nothing when their time comes.
func endStandup(ctx context.Context, store bot.Store, channel string) error {
	if err := store.Delete(ctx, planKey(channel)); err != nil {
		return err
	}
	return errors.Join(
		forget(ctx, store, strings.TrimSuffix(repliesKey(channel, ""), "/"), "9999"),
		forget(ctx, store, postedKey(channel, ""), "9999"),
	)
}
