package oauth

import (
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
)

// Of two consents the later one counts. Where clocks can't tell, what is dead counts less, tokens that never end count
// by the clock anyway, and of others a renewal tells.
func TestOutdates(t *testing.T) {
	t.Parallel()
	const yes, no, unclear = connection.VerdictYes, connection.VerdictNo, connection.VerdictUnclear
	live := connection.TokenPair{Token: "xoxb-row", RefreshToken: "xoxe-row"}
	rejected, longLived := live, live
	rejected.Rejections, longLived.RefreshToken = 1, ""
	for name, test := range map[string]struct {
		apart                  time.Duration // by which the journal's is later
		pair                   connection.TokenPair
		dead, neverRenewedHere bool
		want                   connection.Verdict
	}{
		"earlier by more than clocks differ":     {-10 * time.Minute, live, false, false, no},
		"the same, and the row's is dead":        {-10 * time.Minute, live, true, false, no},
		"later by more than clocks differ":       {10 * time.Minute, live, false, false, yes},
		"about the same":                         {9 * time.Minute, live, false, false, unclear},
		"about the same, before":                 {-9 * time.Minute, live, false, false, unclear},
		"about the same, and the row's is dead":  {-9 * time.Minute, live, true, false, yes},
		"about the same, and Slack rejected it":  {-9 * time.Minute, rejected, false, false, yes},
		"a moment later, and neither ends":       {time.Second, longLived, false, false, yes},
		"a moment earlier, and neither ends":     {-time.Second, longLived, false, false, no},
		"a moment later, of what is paused":      {time.Second, live, false, true, yes},
		"at the same moment, of what is paused":  {0, live, false, true, no},
		"less than what a database tells, ended": {time.Nanosecond, longLived, false, false, no},
	} {
		cs := &consents{competing: competing{seen: map[connection.Secret]competingConsent{}}}
		p := connection.Grant{Token: "xoxb-journal", GrantedAt: noon.Add(test.apart)}
		r := rival{access: &connection.Connection{TokenPair: test.pair}, consent: noon, works: !test.dead,
			renewable: !test.neverRenewedHere}
		if got := cs.outdates(p, r); got != test.want {
			t.Errorf("%s: %v, not %v", name, got, test.want)
		}
	}
}

// What is about as old is decided by the row's next renewal, and only by one of the consent that was compared.
func TestRenewalTellsWhichCounts(t *testing.T) {
	t.Parallel()
	cs := &consents{competing: competing{seen: map[connection.Secret]competingConsent{}}}
	p := connection.Grant{Token: "xoxb-journal", GrantedAt: noon.Add(time.Second)}
	for i, step := range []struct {
		refresh connection.Secret
		consent time.Time
		want    connection.Verdict
	}{
		{"xoxe-1", noon, connection.VerdictUnclear},
		{"xoxe-1", noon, connection.VerdictUnclear},                  // nothing has happened
		{"xoxe-2", noon.Add(time.Minute), connection.VerdictUnclear}, // somebody consented once more
		{"xoxe-2", noon.Add(time.Minute), connection.VerdictUnclear},
		{"xoxe-3", noon.Add(time.Minute), connection.VerdictNo}, // Slack renewed it
	} {
		row := connection.Connection{TokenPair: connection.TokenPair{Token: "xoxb-row", RefreshToken: step.refresh}}
		if got := cs.outdates(p, rival{access: &row, consent: step.consent, works: true, renewable: true}); got != step.want {
			t.Errorf("step %d: %v, not %v", i, got, step.want)
		}
	}
	if cs.competing.forget(p.Token); len(cs.competing.seen) != 0 {
		t.Error("what was decided is remembered")
	}
}
