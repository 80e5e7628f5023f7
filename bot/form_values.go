package bot

// What somebody put into a form, by the block_ids of its inputs.

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/words"
)

// Value is what was put into the input with this block_id: a text, what was chosen, a date as Slack writes it
// ("2026-12-01", "09:30", seconds since 1970), or the words of a formatted text, in Slack's mrkdwn without its styles.
// "" for nothing, and of several chosen things and files, for which Values is.
func (s *Submission) Value(blockID string) string { return formValue(s.Payload, blockID) }

// Values is what was chosen in the input with this block_id, where that can be several things: of files their ids.
func (s *Submission) Values(blockID string) []string { return formValues(s.Payload, blockID) }

// Decode puts what was put in into the struct that v points to: each field with a tag `block:"id"` gets that input's.
// A field can be a string, a []string, an int, a float64, a bool (whether anything is ticked), a time.Time (of a date,
// or a date and a time), a time.Duration (of a time of day, since midnight), a []slack.File, or a slack.RichTextBlock
// (of a formatted text). The error is FieldErrors for what can't be read as the field's type: hand them to Errors.
func (s *Submission) Decode(v any) error { return decodeForm(s.lang(), s.Payload, v) }

// Value is as Submission's.
func (s *AsyncSubmission) Value(blockID string) string { return formValue(s.Payload, blockID) }

// Values is as Submission's.
func (s *AsyncSubmission) Values(blockID string) []string { return formValues(s.Payload, blockID) }

// Decode is as Submission's.
func (s *AsyncSubmission) Decode(v any) error { return decodeForm(s.lang(), s.Payload, v) }

// FieldErrors are what is wrong with the inputs of a form, by block_id: Submission.Errors takes them as they are.
type FieldErrors map[string]string

// Error names the inputs, and nothing of what was put in.
func (e FieldErrors) Error() string {
	var blocks []string
	for block := range e {
		blocks = append(blocks, block)
	}
	return "not what the inputs take: " + strings.Join(blocks, ", ")
}

// inputIn is the input of a block; of several in a block of actions the first by action_id.
func inputIn(i *slack.InteractionCallback, blockID string) (a slack.BlockAction, ok bool) {
	if i.View.State == nil {
		return a, false
	}
	inputs := i.View.State.Values[blockID]
	for _, id := range slices.Sorted(maps.Keys(inputs)) {
		return inputs[id], true
	}
	return a, false
}

func formValue(i *slack.InteractionCallback, blockID string) string {
	a, _ := inputIn(i, blockID)
	return cmp.Or(valueOf(&a), richWords(a.RichTextValue))
}

// richWords are the words of a formatted text, a line for each of its sections and of its lists' items.
func richWords(b slack.RichTextBlock) string {
	if len(b.Elements) == 0 {
		return ""
	}
	raw, err := json.Marshal(b)
	if err != nil { // cannot be: all of it was decoded from what Slack sent
		return ""
	}

	var lines []string
	var collect func(v any)
	collect = func(v any) {
		part, _ := v.(map[string]any)
		if kind := text(part["type"]); kind != "rich_text" && kind != "rich_text_list" {
			lines = append(lines, runOf(part["elements"]))
			return
		}
		parts, _ := part["elements"].([]any)
		for _, p := range parts {
			collect(p)
		}
	}
	var block any
	_ = json.Unmarshal(raw, &block)
	collect(block)
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

func formValues(i *slack.InteractionCallback, blockID string) (values []string) {
	a, _ := inputIn(i, blockID)
	for _, o := range a.SelectedOptions {
		values = append(values, o.Value)
	}
	for _, f := range a.Files {
		values = append(values, f.ID)
	}
	for _, several := range [][]string{a.SelectedUsers, a.SelectedChannels, a.SelectedConversations} {
		values = append(values, several...)
	}
	if one := cmp.Or(valueOf(&a), richWords(a.RichTextValue)); one != "" && len(values) == 0 {
		values = []string{one}
	}
	return values
}

func decodeForm(lang *words.Sentences, i *slack.InteractionCallback, v any) error {
	to := reflect.ValueOf(v)
	if to.Kind() != reflect.Pointer || to.Elem().Kind() != reflect.Struct {
		return errors.New("decode a form: into a pointer to a struct")
	}
	to = to.Elem()

	wrong := FieldErrors{}
	for n := range to.NumField() {
		block := to.Type().Field(n).Tag.Get("block")
		if block == "" {
			continue
		}
		if !to.Field(n).CanSet() {
			return fmt.Errorf("decode a form: field %s begins with a small letter", to.Type().Field(n).Name)
		}
		in, _ := inputIn(i, block)
		says, err := setField(to.Field(n), in, formValue(i, block), formValues(i, block))
		if err != nil {
			return fmt.Errorf("decode a form: field %s: %w", to.Type().Field(n).Name, err)
		}
		if says != "" {
			wrong[block] = lang.Say(says)
		}
	}
	if len(wrong) > 0 {
		return wrong
	}
	return nil
}

// setField sets f to what was put in. says is the key of what is wrong with that, for the person; err is what is wrong
// with the field.
func setField(f reflect.Value, in slack.BlockAction, value string, values []string) (says string, err error) {
	switch to := f.Addr().Interface().(type) {
	case *string:
		*to = value
		return "", nil
	case *[]string:
		*to = values
		return "", nil
	case *bool:
		*to = len(values) > 0
		return "", nil
	case *[]slack.File:
		*to = in.Files
		return "", nil
	case *slack.RichTextBlock:
		*to = in.RichTextValue
		return "", nil
	}

	to := f.Addr().Interface()
	switch to.(type) {
	case *int, *float64, *time.Time, *time.Duration:
	default:
		return "", fmt.Errorf("no input fits into a %s", f.Type())
	}
	if value == "" {
		return "", nil // nothing was put in
	}
	return setParsed(to, value), nil
}

// setParsed sets what to points to from a value, or returns the key of what is wrong with that.
func setParsed(to any, value string) (says string) {
	var err error
	switch to := to.(type) {
	case *int:
		if *to, err = strconv.Atoi(value); err != nil {
			return "bot.window.whole_number"
		}
	case *float64:
		if *to, err = strconv.ParseFloat(value, 64); err != nil {
			return "bot.window.number"
		}
	case *time.Time:
		if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
			*to = time.Unix(seconds, 0)
		} else if *to, err = time.Parse(time.DateOnly, value); err != nil {
			return "bot.window.date"
		}
	case *time.Duration:
		at, err := time.Parse("15:04", value)
		if err != nil {
			return "bot.window.time"
		}
		*to = time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
	}
	return ""
}
