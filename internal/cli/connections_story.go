package cli

// connections show says first why a workspace stopped, in sentences: since when, what Slack said, who was told, and what
// to do next.

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

// storyLines is how much of the history is looked through for who was told.
const storyLines = 100

// storyOf is what an operator who was paged reads first.
func storyOf(env *environment, in *install.Installer, c connection.Connection) (string, error) {
	h := in.Assess(c, nil)
	lines, err := in.History(env.ctx, c, storyLines)
	if err != nil {
		return "", err
	}

	label := strings.ToLower(h.Label[:1]) + h.Label[1:]
	since := "."
	if !h.Since.IsZero() {
		since = fmt.Sprintf(", since %s (%s ago).", short(stamp(h.Since)), ageWords(in.Now().Sub(h.Since)))
	}
	said := []string{fmt.Sprintf("%s: %s%s", named(c), label, since), h.ReasonText}
	if h.State == connection.Limited {
		said = append(said, h.Sentence)
	}
	said = append(said, slackSaid(c, h), whoWasTold(c, lines))
	if !h.WorksUntil.IsZero() {
		said = append(said, "It works until "+short(stamp(h.WorksUntil))+".")
	}
	if !h.HeldAt.IsZero() {
		said = append(said, "Slack holds back events of this workspace since "+short(stamp(h.HeldSince))+", as of "+
			short(stamp(h.HeldAt))+".")
	}
	return printable(together(append(said, whatNext(env, c, h, lines))...)), nil
}

// slackSaid is what Slack answered, where the trouble began with that.
func slackSaid(c connection.Connection, h install.Health) string {
	failing := !c.FailingSince.IsZero() && c.RenewalError != ""
	switch {
	case failing && c.RenewalError == "no_answer":
		return fmt.Sprintf("Renewals of its token have got no answer from Slack since %s.", short(stamp(c.FailingSince)))
	case failing:
		return fmt.Sprintf("Slack answers renewals of its token with %s, since %s.", c.RenewalError,
			short(stamp(c.FailingSince)))
	}
	switch h.Reason {
	case "", connection.ReasonMissingScope, connection.ReasonUnreadable, connection.ReasonDisconnected,
		connection.ReasonUninstalled, connection.ReasonRenewalFailing, connection.ReasonRefreshRejected:
		return ""
	}
	return "Slack answered: " + h.Reason + "."
}

// whoWasTold says who was written to about what a person has to do.
func whoWasTold(c connection.Connection, lines []connection.Change) string {
	if c.State != connection.ReconnectRequired {
		return ""
	}
	if !c.Notice.At.IsZero() && c.Notice.To != "" {
		return fmt.Sprintf("%s was told in Slack at %s.", c.Notice.To, short(stamp(c.Notice.At)))
	}
	for _, l := range lines { // the newest first
		if l.What == connection.DidTell && l.Outcome == connection.OutcomeFail && !l.At.Before(c.Began().Add(-time.Minute)) {
			return fmt.Sprintf("Nobody could be told in Slack: %s.", cmp.Or(l.Reason, "no reason is known"))
		}
	}
	return "Nobody was told yet."
}

// whatNext is what an operator can do.
func whatNext(env *environment, c connection.Connection, h install.Health, lines []connection.Change) string {
	command := func(word string) string { return env.name + " connections " + word + " " + c.ID }
	switch h.State {
	case connection.ReconnectRequired:
		if h.Reason == connection.ReasonUnreadable {
			return fmt.Sprintf("Put the key that it was encrypted with back into ENCRYPTION_KEYS; %s keys check says which one. "+
				"If it is lost, have it reconnected: %s prints a link.", env.name, command("reconnect-link"))
		}
		return fmt.Sprintf("To have it reconnected, send %s a link: %s",
			cmp.Or(c.InstalledBy, "a workspace admin"), command("reconnect-link"))
	case connection.Limited:
		return fmt.Sprintf("To have it allowed, send %s a link: %s", cmp.Or(c.InstalledBy, "a workspace admin"),
			command("reconnect-link"))
	case connection.Retrying:
		return "It is tried again by itself. To ask Slack now: " + command("check")
	case connection.Paused:
		return "To end the pause: " + command("resume")
	case connection.Removed:
		return removedBy(lines) + "Somebody in the workspace can install it again."
	}
	return ""
}

// removedBy says who ended a connection, where that is known.
func removedBy(lines []connection.Change) string {
	for _, l := range lines {
		if l.What != connection.DidDisconnect && l.What != connection.DidRemove || l.Outcome != connection.OutcomeDone {
			continue
		}
		switch l.By.Kind {
		case connection.ByPerson:
			return l.By.ID + " did that, at " + short(stamp(l.At)) + ". "
		case connection.ByOperator:
			return "An operator did that, at " + short(stamp(l.At)) + ". "
		}
		return ""
	}
	return ""
}
