package slacksim

// Reading conversations back, with the metadata that apps attach to their messages.
// docs.slack.dev/reference/methods/conversations.history, docs.slack.dev/messaging/message-metadata

import (
	"encoding/json"
	"strconv"
)

// metadataLocked reads the metadata of a message that is to be posted.
func (s chatMethods) metadataLocked(r *apiRequest) (json.RawMessage, *apiError) {
	raw := r.arg("metadata")
	if raw == "" {
		return nil, nil
	}
	var m struct {
		Type    string         `json:"event_type"`
		Payload map[string]any `json:"event_payload"`
	}
	if json.Unmarshal([]byte(raw), &m) != nil || m.Type == "" || m.Payload == nil {
		return nil, fail("invalid_metadata_format")
	}
	return json.RawMessage(raw), nil
}

func (s chatMethods) conversationsHistory(r *apiRequest) (map[string]any, *apiError) {
	return s.conversationLocked(r, func(m *Message) bool { return m.ThreadTS == "" || m.ThreadTS == m.TS })
}

func (s chatMethods) conversationsReplies(r *apiRequest) (map[string]any, *apiError) {
	parent := r.arg("ts")
	return s.conversationLocked(r, func(m *Message) bool { return m.TS == parent || m.ThreadTS == parent })
}

// conversationLocked lists messages of one conversation, newest first as Slack does for a conversation; cursors are not needed by
// anybody yet, so the limit just cuts.
func (s chatMethods) conversationLocked(r *apiRequest, want func(*Message) bool) (map[string]any, *apiError) {
	c, err := s.placeLocked(r, true)
	if err != nil {
		return nil, err
	}
	if need := kindScope(c, "history"); !r.scope(need) {
		return nil, r.missing(need)
	}
	limit, convErr := strconv.Atoi(r.arg("limit"))
	if convErr != nil || limit < 1 || limit > 999 {
		limit = 100
	}
	oldest, _ := strconv.ParseFloat(r.arg("oldest"), 64)
	found := []map[string]any{}
	for i := len(c.messages) - 1; i >= 0 && len(found) < limit; i-- {
		m := c.messages[i]
		if at, _ := strconv.ParseFloat(m.TS, 64); m.Deleted || m.Ephemeral || at <= oldest || !want(m) {
			continue
		}
		out := s.messageJSONLocked(c, m)
		if m.Metadata != nil && (r.arg("include_all_metadata") == "true" || r.arg("include_all_metadata") == "1") {
			out["metadata"] = m.Metadata
		}
		found = append(found, out)
	}
	return map[string]any{"messages": found, "has_more": false}, nil
}
