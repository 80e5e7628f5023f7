package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/tokens"
)

// What docs/operating.md says of how many workspaces can be looked after follows from how the background work paces
// itself: whoever changes that changes the page.
func TestSizingIsAsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	thousands := func(n int) string { return fmt.Sprintf("%d,000", n/1000) }
	aMinute := checksAtOnce * int(time.Minute/checkTick)
	installs, all := int(time.Second/tokens.Installs.Interval), int(time.Second/tokens.Renewals.Interval)
	aDay := (all - installs) * int(24*time.Hour/time.Second)
	for _, want := range []string{
		fmt.Sprintf("%d every %d seconds: %d a minute, %s connections", checksAtOnce, int(checkTick.Seconds()), aMinute,
			thousands(aMinute*int(connection.FurthestCheck.Truncate(6*time.Hour)/time.Minute))),
		fmt.Sprintf("%d a second, of which installs take at most %d: %d a second at the worst, %s token pairs", all, installs,
			all-installs, thousands(aDay/3)),
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/operating.md doesn't say %q", want)
		}
	}
}
