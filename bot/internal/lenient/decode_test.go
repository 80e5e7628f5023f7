package lenient

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/slack-go/slack"
)

// However much of a payload can't be read, finding that out decodes a small multiple of it: Slack waits for an answer.
func TestOddPartsCostNoTime(t *testing.T) {
	const block = `{"type":"header","block_id":"known","text":{"type":"plain_text","text":"read me"}}`
	many := strings.Repeat(`{"type":"actions","elements":[{"type":"element_of_tomorrow","action_id":"x"}]},`, 1500)
	deep := strings.Repeat("[", 2000) + strings.Repeat("]", 2000)
	fields := `{"type":"section","text":{` + strings.Repeat(`"a":{"b":[7]},"c":{"type":[1]},`, 500) + `"type":{}}}`
	for name, blocks := range map[string]string{"many": "[" + many + block + "]", "deep": deep,
		"deep in a field": `[{"type":"section","text":` + deep + "}]", "fields": "[" + fields + "]"} {
		body := fmt.Sprintf(
			`{"type":"block_actions","user":{"id":"U1"},"message":{"text":"x","blocks":%s},"view":{"blocks":%[1]s},"actions":[{"action_id":"go","block_id":"b"}]}`, blocks)
		effort := repairBytes/4 + repairPasses*len(body)
		decoded, widest := 0, 0
		r := repair{effort: effort, into: func(doc []byte) error {
			decoded, widest = decoded+len(doc)+lookCost, max(widest, len(doc))
			return json.Unmarshal(doc, new(slack.InteractionCallback))
		}}
		whole, ok := r.mend([]byte(body), place{around: func(part json.RawMessage) json.RawMessage { return part }})
		if decoded > effort+2*widest {
			t.Errorf("%s: %d bytes decoded, want at most %d", name, decoded, effort)
		}
		var c slack.InteractionCallback
		if err := json.Unmarshal(whole, &c); !ok || err != nil || c.User.ID != "U1" ||
			len(c.ActionCallback.BlockActions) != 1 || c.Message.Text != "x" {
			t.Errorf("%s: %v, left with %.200s", name, err, whole)
		}
	}
}
