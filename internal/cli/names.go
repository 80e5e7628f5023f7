package cli

// Which names are settings of ours. A setting under a misspelt name does nothing, and nobody sees why.

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/hbollon/go-edlib"
)

// secretNames may each come as NAME_FILE, too, and have no flag.
var secretNames = []string{"SLACK_CLIENT_SECRET", "SLACK_SIGNING_SECRET", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN",
	"SLACK_CONFIG_TOKEN", "SLACK_CONFIG_REFRESH_TOKEN", "ENCRYPTION_KEYS", "DATABASE_URL", "OTEL_EXPORTER_OTLP_HEADERS"}

// settingNames are all names that are looked up.
var settingNames = func() []string {
	names := []string{"SLACK_CLIENT_ID", "SLACK_APP_ID", "SLACK_URL", "PUBLIC_URL", "LISTEN_ADDR", "ADMIN_ADDR",
		"ADMIN_HOSTS", "DRAIN_DELAY", "DATA_DIR", "KEEP_DAYS", "INBOX_LEASE", "WORKERS", "INBOX", "MOVE_TO_ROTATION",
		"INSTALLS", "OPERATOR_NAME", "SUPPORT_URL", "PRIVACY_URL", "TERMS_URL", "LOG_LEVEL", "LOG_FORMAT"}
	names = append(names, tracesNames...)
	for _, name := range secretNames {
		names = append(names, name, name+"_FILE")
	}
	return names
}()

// namesOfOthers are common, and look like misspelt ones of ours.
var namesOfOthers = []string{"SLACK_API_TOKEN", "PRIVATE_URL"}

// checkNames refuses misspelt names of ours in .env, and in the environment those that begin with SLACK_. It warns of
// what else stands in .env, or begins with SLACK_, and is no setting: it may be another program's.
func (s *source) checkNames() {
	const fix = "correct the name; put what belongs to another program into another file"
	given := map[string][]string{".env": slices.Sorted(maps.Keys(s.dotenv)), "the environment": s.environment()}
	for where, names := range given {
		var unknown []string
		for _, name := range names {
			ours, certain := meant(name)
			switch {
			case slices.Contains(settingNames, name):
			case certain && (where == ".env" || strings.HasPrefix(strings.ToUpper(name), "SLACK_")):
				s.bad(name, "is in "+where+" but isn't a setting; it looks like a misspelt "+ours, fix)
			case strings.HasPrefix(name, "OTEL_"): // of which OpenTelemetry has many more
			case ours != "":
				unknown = append(unknown, name+" (misspelt "+ours+"?)")
			case where == ".env" || strings.HasPrefix(name, "SLACK_"):
				unknown = append(unknown, showable(name))
			}
		}

		if len(unknown) > 0 {
			s.warn("", "these names in "+where+" aren't settings, and do nothing here: "+strings.Join(unknown, ", "),
				"check for misspelt ones; another program's can stay")
		}
	}
}

// environment has the names that are set in the environment.
func (s *source) environment() (names []string) {
	for _, line := range os.Environ() {
		if name, _, _ := strings.Cut(line, "="); s.getenv(name) != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

var ordinaryName = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,39}$`)

// showable is the name, unless it may be a key or a secret that was pasted without one: "c2VjcmV0=" is a name, too.
func showable(name string) string {
	if ordinaryName.MatchString(name) {
		return name
	}
	return "one that isn't shown, because it might be a secret"
}

// meant is the setting of ours that somebody may have misspelt as name, or "". It is certain where a name of another
// program is not as likely.
func meant(name string) (ours string, certain bool) {
	name = strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToUpper(name))
	if slices.Contains(namesOfOthers, name) {
		return "", false
	}

	name = strings.TrimPrefix(name, "SWITCHBOARD_")
	least := 3
	for _, candidate := range settingNames {
		limit := 2
		if len(candidate) < 8 { // other words of this length are too near
			limit = 1
		}

		n := edlib.OSADamerauLevenshteinDistance(name, candidate)
		switch {
		case sameWords(name, candidate):
			return candidate, true
		case longer(name, candidate), longer(candidate, name):
			n = min(n, limit)
		}

		if n <= limit && n < least {
			ours, certain, least = candidate, true, n
		}
		if ours == "" && "SLACK_"+name == candidate {
			ours, certain = candidate, false
		}
	}
	return ours, certain
}

// sameWords reports whether a and b have the same words, in whatever order and however they are separated.
func sameWords(a, b string) bool {
	words := func(s string) string {
		all := strings.Split(s, "_")
		slices.Sort(all)
		return strings.Join(all, "_")
	}
	return words(a) == words(b) || strings.ReplaceAll(a, "_", "") == strings.ReplaceAll(b, "_", "")
}

// longer reports whether a is b with its last word written out, as in LISTEN_ADDRESS.
func longer(a, b string) bool {
	rest, ok := strings.CutPrefix(a, b)
	return ok && len(b) >= 8 && len(rest) <= 6 && !strings.Contains(rest, "_")
}
