package doctor

// Check 1: whether what Slack sends is taken, why it was refused, and when the last good delivery was. The process that
// serves knows; the database knows when any replica last took an event.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/internal/server"
)

func deliveries(ctx context.Context, e *Examined) []Finding {
	p, err := e.Process()
	if err != nil {
		return append([]Finding{e.notServing(err)}, e.lastEvent(ctx)...)
	}

	found := []Finding{{Name: "serving", Status: OK, Text: "It's running, and answers at " + p.URL + " (ADMIN_ADDR)."}}
	found = append(found, e.staleSettings(ctx, p)...)
	if e.overSockets() {
		return append(found, append(e.sockets(ctx, p), e.lastEvent(ctx)...)...)
	}
	found = append(found, e.refused(p)...)
	return append(found, e.lastDelivery(ctx, p))
}

// notServing says that nobody is there to ask. It may be meant: before the first start, or where it runs elsewhere.
func (e *Examined) notServing(err error) Finding {
	what := "It isn't running here: nothing answers at ADMIN_ADDR (" + e.Config.AdminAddr + ")."
	if errors.Is(err, ErrSomethingElse) {
		what = "What answers at ADMIN_ADDR (" + e.Config.AdminAddr + ") isn't this program."
	}
	return Finding{Name: "serving", Status: Warning, Text: what,
		Fix: fmt.Sprintf("start it: %s serve. If it runs on another machine, or with another ADMIN_ADDR, run this there "+
			"or with that one", e.Program)}
}

// overSockets reports whether Slack sends through connections that the app opened: then nothing is signed.
func (e *Examined) overSockets() bool { return e.Config.Bot.AppToken != "" }

// staleSettings compares what the process runs with to what is set here: a corrected setting does nothing before a
// restart.
func (e *Examined) staleSettings(ctx context.Context, p *Process) []Finding {
	db, err := e.Database()
	if err != nil {
		return nil
	}
	page, err := p.Get(ctx, "/instance")
	var instance server.Instance
	if err != nil || json.Unmarshal([]byte(page), &instance) != nil {
		return nil // it is starting
	}

	var differ []string
	for name, print := range e.Config.Fingerprints(db.SigningKeys()) {
		if theirs, there := instance.Settings[name]; there && theirs != print {
			differ = append(differ, name)
		}
	}
	if len(differ) == 0 {
		return nil
	}

	slices.Sort(differ)
	names := strings.Join(differ, ", ")
	if len(differ) == len(instance.Settings) { // all are made with the first key
		names = "ENCRYPTION_KEYS"
	}
	return []Finding{{Name: "stale_settings", Status: Failed,
		Text: "The running process has another value than the settings here for: " + names + ".",
		Fix:  fmt.Sprintf("restart %s serve, so that it reads them; or run this with the settings that it has", e.Program)}}
}

// cause is why deliveries are refused: what it means, and what to do.
type cause struct {
	name, because, fix string
	status             Status
	strangers          bool // cause it, too: it says something only where nothing good ever came
}

// causes are those that a setting can bring about, or a proxy. Of "method" there is nothing to say: that is strangers.
func (e *Examined) causes() []cause {
	restart := ", then restart " + e.Program + " serve"
	return []cause{
		{name: "signature", status: Failed, because: "their signature doesn't match SLACK_SIGNING_SECRET",
			fix: "copy the Signing Secret from " + e.appPage("general") + " into SLACK_SIGNING_SECRET" + restart},
		{name: "timestamp", status: Failed, because: "their time is more than 5 minutes from the clock here",
			fix: "set the clock of this machine and of the database's: timedatectl set-ntp true"},
		{name: "app_id", status: Failed, because: "they are for another app than SLACK_APP_ID (" + e.Config.Install.AppID + ")",
			fix: "copy the App ID from " + e.appsPage() + " into SLACK_APP_ID" + restart + "; if both apps are yours, " +
				"give each an address of its own"},
		{name: "headers", status: Warning, strangers: true, because: "they had no signature",
			fix: "let the proxy in front pass on the headers X-Slack-Signature and X-Slack-Request-Timestamp; " +
				"strangers cause some of these, too"},
		{name: "too_large", status: Warning, because: "they were too large",
			fix: "look in the log for \"request refused\", and whether they come from Slack"},
		{name: "body", status: Warning, because: "their body didn't come, or not in time",
			fix: "look at the proxy in front: it has to pass bodies on within 2 seconds"},
		{name: "gave_way", status: Warning, because: "too many came at once",
			fix: "run more replicas, or give this one more memory and open files"},
	}
}

// refused says what was refused and not followed by anything good: strangers knock at every door, and what was put
// right is over.
func (e *Examined) refused(p *Process) (found []Finding) {
	good, _ := p.Number("switchboard_last_delivery_timestamp_seconds")
	for _, c := range e.causes() {
		n, _ := p.Number("switchboard_refused_total", "cause", c.name)
		last, _ := p.Number("switchboard_last_refusal_timestamp_seconds", "cause", c.name)
		if n == 0 || last <= good || c.strangers && good > 0 {
			continue
		}
		text := fmt.Sprintf("%s because %s, the last one %s.", refusedDeliveries(int(n)), c.because, e.ago(unix(last)))
		if good > 0 {
			text += " No good one came since."
		}
		found = append(found, Finding{Name: "refused_" + c.name, Status: c.status, Text: text, Fix: c.fix})
	}
	return found
}

func refusedDeliveries(n int) string {
	if n == 1 {
		return "1 delivery was refused"
	}
	return fmt.Sprintf("%d deliveries were refused", n)
}

// lastDelivery says when the process last took something that Slack signed.
func (e *Examined) lastDelivery(ctx context.Context, p *Process) Finding {
	good, _ := p.Number("switchboard_last_delivery_timestamp_seconds")
	any := e.eventOfAny(ctx)
	f := Finding{Name: "last_delivery", Status: OK}
	switch {
	case good > 0 && any.Sub(unix(good)) > 2*time.Minute: // it is written down once a minute
		f.Text = fmt.Sprintf("This process took its last good delivery %s, and another replica took one %s.",
			e.ago(unix(good)), e.ago(any))
	case good > 0:
		f.Text = fmt.Sprintf("The last good delivery was %s.", e.ago(unix(good)))
	case !any.IsZero():
		f.Text = fmt.Sprintf("This process has taken no delivery since it started. The last one that any process took was %s.",
			e.ago(any))
		f.Status, f.Fix = Unknown, "write to the app in Slack, then run this again"
	default:
		f.Text = "Slack has delivered nothing yet."
		f.Status, f.Fix = Unknown, "write to the app in Slack, then run this again"
	}
	return f
}

// eventOfAny is when Slack last sent something that a process on this database took; zero for never, and where it can't
// be asked.
func (e *Examined) eventOfAny(ctx context.Context) time.Time {
	db, err := e.Database()
	if err != nil {
		return time.Time{}
	}
	found, err := db.Overview(ctx, e.Config.Install.AppID)
	if err != nil {
		return time.Time{}
	}
	return found.LastEvent
}

// lastEvent is what the database tells where no process does.
func (e *Examined) lastEvent(ctx context.Context) []Finding {
	any := e.eventOfAny(ctx)
	if any.IsZero() {
		return nil
	}
	return []Finding{{Name: "last_delivery", Status: OK,
		Text: "The last event that any process took was " + e.ago(any) + "."}}
}

// sockets says how Socket Mode is, in the words of /readyz.
func (e *Examined) sockets(ctx context.Context, p *Process) []Finding {
	ready, err := p.Get(ctx, "/readyz?verbose")
	if err != nil {
		return []Finding{{Name: "sockets", Status: Unknown, Text: "It couldn't be asked about Socket Mode: " + err.Error() + ".",
			Fix: "run this again"}}
	}
	for line := range strings.Lines(ready) {
		if words, failed := strings.CutPrefix(strings.TrimSpace(line), "[-]sockets failed: "); failed {
			return []Finding{{Name: "sockets", Status: Failed, Text: "Nothing comes in through Socket Mode: " + words + ".",
				Fix: e.socketFix(words)}}
		}
	}
	live, _ := p.Number("switchboard_sockets")
	return []Finding{{Name: "sockets", Status: OK, Text: "Socket Mode: " + Amount(int(live), "connection") + " to Slack."}}
}

// socketFix is what to do about the words of /readyz.
func (e *Examined) socketFix(words string) string {
	fixes := map[string]string{
		"turned off": "turn Socket Mode on at " + e.appPage("socket-mode"),
		"refuses": "make an app-level token with connections:write at " + e.appPage("general") + ", put it into " +
			"SLACK_APP_TOKEN and restart " + e.Program + " serve",
	}
	for _, part := range slices.Sorted(maps.Keys(fixes)) {
		if strings.Contains(words, part) {
			return fixes[part]
		}
	}
	return "let this machine open connections to wss://*.slack.com, port 443"
}
