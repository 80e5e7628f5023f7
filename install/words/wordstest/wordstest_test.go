package wordstest_test

import (
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/install/words/wordstest"
)

// What was said by package words is fine, with names, code, links and labels in it; all else is found.
func TestFaults(t *testing.T) {
	t.Parallel()
	made := wordstest.MadeUp()
	fine := made.Say("bot.records_silent", "app", "Ĥéĺĺö", "reference", "7F3K2QX") + " " +
		made.Say("bot.help", "command", "/x") + "\n• `type this`: <https://a.example/b|⟨Öṕéñ⟩> in Acme Corp."
	listed := made.Say("connections.without.never", "app", "Ĥéĺĺö", "features", made.Or([]string{
		made.Say("scopes.bot.im:history.feature"), made.Say("scopes.bot.users:read.feature")}), "permissions", "x")
	for text, want := range map[string]string{
		fine:                       "",
		listed:                     "",
		"⟦Ä šéñťéñćé.⟧ Try again.": `"Try again" stands elsewhere`,
		"⟦Ä šéñťéñćé⟦ ŵîťĥîñ.⟧.⟧": "a sentence is part of another",
		"⟦Îť ŵöřķš.⟧ äñď ťĥéñ":    "a sentence goes on",
		"⟦Îť {works}.⟧":           "nobody gave {works}",
	} {
		got := ""
		for _, fault := range wordstest.Faults(text, "in Acme Corp") {
			got += fault.String() + "\n"
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
