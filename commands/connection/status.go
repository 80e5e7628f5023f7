package connection

// Whether it works: from our records right away, and from Slack a moment later.

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

// status answers from our records at once, and lets the live answer follow.
func status(_ context.Context, t turn, a ask) bot.Reply {
	who := viewerOf(t, a)
	who.verbose = slices.ContainsFunc(a.rest, func(w string) bool { return strings.EqualFold(w, "verbose") })
	return statusFor(t, who)
}

// check is status for those who ask again and again.
func check(_ context.Context, t turn, a ask) bot.Reply {
	who := viewerOf(t, a)
	who.again = true
	return statusFor(t, who)
}

// viewerOf is what is known of the person who asks without asking Slack: that somebody installed the app says nothing
// of what they are by now.
func viewerOf(t turn, a ask) viewer {
	who := viewer{audience: a.to, standing: a.is}
	if t.Outsider() {
		who.standing = stranger
	}
	return who
}

func statusFor(t turn, who viewer) bot.Reply {
	if t.Slack == nil && !t.Renewing() {
		// No token to ask with: what we know is all there is.
		return statusReply(t, t.Health(), who, false)
	}
	quick := statusReply(t, t.Health(), who, true)
	quick.Then = func(ctx context.Context) (bot.Reply, error) { return live(ctx, t, who), nil }
	return quick
}

// live asks Slack, about the connection and about the person, and says what came of it.
func live(ctx context.Context, t turn, who viewer) bot.Reply {
	h, asked := look(ctx, t, who.again)
	if who.standing == unknown && who.audience != public {
		who.standing, _ = standingOf(ctx, t) // not knowing shows less, and nothing else
	}
	learn(ctx, t, h, &who)
	r := statusReply(t, h, who, false)
	if !asked {
		confirmed := ""
		if !h.CheckedAt.IsZero() && who.standing >= member {
			confirmed = "; Slack last confirmed the connection " + mrkdwn.Time(h.CheckedAt)
		}
		note := fmt.Sprintf("Slack was asked less than %[1]d seconds ago, so this is the last answer%[2]s. "+
			"Ask again in %[1]d seconds.", int(install.RecheckEvery.Seconds()), confirmed)
		r.Text += " " + note
		r.Blocks = append(r.Blocks, mrkdwn.Section(note))
	}
	return r
}

// look asks Slack how the connection is. With again it does so only now and then; in between the answer is from our
// records, and asked is false.
func look(ctx context.Context, t turn, again bool) (h install.Health, asked bool) {
	if again && !t.Install.MayRecheck(ctx) {
		return t.Health(), false
	}
	return t.Check(ctx), true
}

// learn finds out what a status tells besides the connection's own facts. What can't be found out is left out.
func learn(ctx context.Context, t turn, h install.Health, who *viewer) {
	if !h.Found || who.audience == public || who.standing < member {
		return
	}
	who.permissions = lastPermissions(ctx, t)
	if by := h.Connection.InstalledBy; by != "" && by != t.UserID && t.Slack != nil {
		u, err := t.Slack.GetUserInfoContext(ctx, by)
		who.installerLeft = err == nil && u.Deleted
	}
}

// lastPermissions is the newest change of the permissions, zero where none is known. It blocks for the store.
func lastPermissions(ctx context.Context, t turn) connection.Change {
	changes, err := t.Install.History(ctx, historyLooked)
	if err != nil {
		t.Log.WarnContext(ctx, "read history", "cause", err)
	}
	for _, c := range changes {
		if c.What == connection.DidPermissions {
			return c
		}
	}
	return connection.Change{}
}

// historyLooked is how many lines are looked through for a change of the permissions.
const historyLooked = 50
