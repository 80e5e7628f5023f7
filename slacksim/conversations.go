package slacksim

// The methods of the Web API about conversations, and what was said there, with the metadata of apps.
// docs.slack.dev/reference/methods/conversations.info, docs.slack.dev/messaging/message-metadata

import (
	"cmp"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// metadataMost bounds the metadata of a message, in bytes. Slack refuses large ones without saying where it begins.
const metadataMost = 16_000

// spanTime is the end of a span of messages: seconds, or a message's ts.
var spanTime = regexp.MustCompile(`^\d+(\.\d*)?$`)

// metadataLocked reads the metadata of a message that is to be posted.
func (s chatMethods) metadataLocked(r *apiRequest) (json.RawMessage, *apiError) {
	raw := r.arg("metadata")
	if raw == "" {
		return nil, nil
	}
	var m struct {
		Type     string            `json:"event_type"`
		Payload  map[string]any    `json:"event_payload"`
		Entities []json.RawMessage `json:"entities"`
	}
	switch err := json.Unmarshal([]byte(raw), &m); {
	case err != nil:
		return nil, fail("invalid_metadata_format")
	case raw == "{}" && r.method == "chat.update":
		return nil, nil // takes away what there was
	case len(raw) > metadataMost:
		return nil, fail("metadata_too_large")
	case m.Entities == nil && (m.Type == "" || m.Payload == nil), (m.Type == "") != (m.Payload == nil):
		return nil, fail("invalid_metadata_format")
	case len(m.Type) > 50:
		return nil, fail("invalid_metadata_schema")
	}
	return json.RawMessage(raw), nil
}

func (s chatMethods) conversationsHistory(r *apiRequest) (map[string]any, *apiError) {
	found, err := s.conversationLocked(r, "", func(m *Message) bool {
		return m.ThreadTS == "" || m.ThreadTS == m.TS || m.Subtype == "thread_broadcast"
	})
	if err != nil {
		return nil, err
	}
	slices.Reverse(found)
	return page(r, found, 100, 0)
}

// conversationsReplies lists a thread from its root on, where history begins with the newest message. The thread may
// be named by any message of it. The root comes first on every page, whatever the oldest message is that was asked for.
func (s chatMethods) conversationsReplies(r *apiRequest) (map[string]any, *apiError) {
	root := r.arg("ts")
	if c := s.world.channelLocked(r.arg("channel")); c != nil {
		if m := c.find(root); m != nil {
			root = cmp.Or(m.ThreadTS, m.TS)
		}
	}
	found, err := s.conversationLocked(r, root, func(m *Message) bool { return m.TS == root || m.ThreadTS == root })
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fail("thread_not_found")
	}
	return page(r, found, 1000, 1)
}

// page cuts a list of messages by limit and cursor, the offset. The first few are on every page.
func page(r *apiRequest, found []map[string]any, usual, always int) (map[string]any, *apiError) {
	limit, err := strconv.Atoi(r.arg("limit"))
	if err != nil || limit < 1 || limit > 999 {
		limit = usual
	}
	start := always
	if c := r.arg("cursor"); c != "" {
		if start, err = strconv.Atoi(strings.TrimPrefix(c, "offset:")); err != nil || start < 0 || start > len(found) {
			return nil, fail("invalid_cursor")
		}
	}

	head := found[:min(always, len(found))]
	end := min(start+max(limit-len(head), 1), len(found))
	out := map[string]any{"messages": slices.Concat(head, found[start:end]), "has_more": end < len(found)}
	if end < len(found) {
		out["response_metadata"] = map[string]any{"next_cursor": "offset:" + strconv.Itoa(end)}
	}
	return out, nil
}

// later compares times as Slack writes them. "" comes before all.
func later(a, b string) bool {
	x, _ := strconv.ParseFloat(a, 64)
	y, _ := strconv.ParseFloat(b, 64)
	return x > y
}

// within reports whether a time lies in the span that was asked for.
func (r *apiRequest) within(ts string) bool {
	oldest, latest := r.arg("oldest"), r.arg("latest")
	edge := r.flag("inclusive") && (ts == oldest || ts == latest)
	return edge || later(ts, oldest) && (latest == "" || later(latest, ts))
}

// conversationLocked lists messages of one conversation, oldest first, from the oldest to the latest asked for. The
// root of a thread is always among them.
func (s chatMethods) conversationLocked(r *apiRequest, root string, want func(*Message) bool) ([]map[string]any,
	*apiError) {
	c, err := s.readableLocked(r, true, "history")
	if err != nil {
		return nil, err
	}
	for _, end := range []string{"oldest", "latest"} {
		if ts := r.arg(end); ts != "" && !spanTime.MatchString(ts) {
			return nil, fail("invalid_ts_" + end)
		}
	}

	found := []map[string]any{}
	for _, m := range c.messages {
		gone := m.Deleted && !c.replied(m)
		if gone || m.Ephemeral || m.TS != root && !r.within(m.TS) || !want(m) {
			continue
		}
		out := s.world.messageJSONLocked(c, m)
		if m.Metadata != nil && !m.Deleted && r.flag("include_all_metadata") {
			out["metadata"] = m.Metadata
		}
		found = append(found, out)
	}
	return found, nil
}

// readableLocked is placeLocked for reading with the permission that this kind of conversation needs.
func (s chatMethods) readableLocked(r *apiRequest, inside bool, verb string) (*channel, *apiError) {
	c, err := s.placeLocked(r, inside)
	if err != nil {
		return nil, err
	}
	need := map[string]string{"im": "im:", "group": "groups:", "channel": "channels:"}[c.kind()] + verb
	if !r.scope(need) {
		return nil, r.missing(need)
	}
	return c, nil
}

func (s chatMethods) channelJSONLocked(r *apiRequest, c *channel) map[string]any {
	out := map[string]any{
		"id": c.ID, "created": 1700000000, "is_archived": false, "is_im": c.im, "context_team_id": c.TeamID,
		"is_org_shared": false, "is_ext_shared": len(c.SharedWith) > 0, "is_shared": len(c.SharedWith) > 0,
	}
	if c.im {
		out["user"], out["is_open"] = c.imUser, true
		return out
	}
	maps.Copy(out, map[string]any{
		"name": c.Name, "name_normalized": c.Name, "is_channel": !c.Private, "is_group": c.Private, "is_private": c.Private,
		"is_general": c.Name == "general", "is_member": c.has(r.token.chain.userID), "is_mpim": false,
		"num_members": len(c.Members), "shared_team_ids": append([]string{c.TeamID}, c.SharedWith...),
	})
	return out
}

func (s chatMethods) conversationsOpen(r *apiRequest) (map[string]any, *apiError) {
	if id := r.arg("channel"); id != "" {
		c := s.world.channelLocked(id)
		if c == nil || !c.im || !s.oauth.reachesLocked(r.inst, c) {
			return nil, fail("channel_not_found")
		}
		return map[string]any{"channel": map[string]any{"id": c.ID}}, nil
	}

	ids := splitScopes(r.arg("users"))
	switch {
	case len(ids) == 0:
		return nil, fail("users_list_not_supplied")
	case len(ids) > 1:
		return nil, fail("not_enough_users") // group DMs are not part of this small Slack
	case !r.scope("im:write"):
		return nil, r.missing("im:write")
	}

	u := s.world.userLocked(ids[0])
	if u == nil || !s.oauth.sharesLocked(r.inst, u) {
		return nil, fail("user_not_found")
	}
	if u.Deleted {
		return nil, fail("user_disabled")
	}

	c := s.world.dmLocked(u.ID)
	ch := map[string]any{"id": c.ID}
	if r.flag("return_im") {
		ch = s.channelJSONLocked(r, c)
	}
	return map[string]any{"channel": ch, "no_op": true, "already_open": true}, nil
}

func (s chatMethods) conversationsJoin(r *apiRequest) (map[string]any, *apiError) {
	c := s.world.channelLocked(r.arg("channel"))
	switch {
	case c == nil || !s.oauth.reachesLocked(r.inst, c) || c.Private && !c.im && !c.has(r.token.chain.userID):
		return nil, fail("channel_not_found")
	case c.im || c.Private:
		return nil, fail("method_not_supported_for_channel_type")
	}
	s.events.joinLocked(c, r.token.chain.userID, "")
	return map[string]any{"channel": s.channelJSONLocked(r, c)}, nil
}

func (s chatMethods) conversationsInfo(r *apiRequest) (map[string]any, *apiError) {
	c, err := s.readableLocked(r, false, "read")
	if err != nil {
		return nil, err
	}
	return map[string]any{"channel": s.channelJSONLocked(r, c)}, nil
}

// listLocked lists conversations by the types argument: those that somebody is in, or "" for all. Those that aren't
// public are listed only where the caller is in them, too.
func (s chatMethods) listLocked(r *apiRequest, of string) (map[string]any, *apiError) {
	want, err := r.kinds()
	if err != nil {
		return nil, err
	}
	me, team := r.token.chain.userID, r.team()
	out := []map[string]any{}
	for _, c := range s.world.channels {
		member := c.has(me) || c.im && len(c.messages) > 0
		theirs := of == "" || of == me && member || c.has(of) || c.im && c.imUser == of
		if !c.inTeam(team) || !want[c.kind()] || !theirs || (c.Private || c.im) && !member {
			continue
		}
		out = append(out, s.channelJSONLocked(r, c))
	}
	return paged(r, "channels", out)
}

// kinds are those of the types argument, as far as the token may read them.
func (r *apiRequest) kinds() (map[string]bool, *apiError) {
	types := splitScopes(cmp.Or(r.arg("types"), "public_channel"))
	want := map[string]bool{}
	for _, t := range types {
		k := map[string]string{"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}[t]
		need := map[string]string{"channel": "channels:read", "group": "groups:read", "im": "im:read", "mpim": "mpim:read"}[k]
		if k == "" {
			return nil, fail("invalid_types")
		}
		if !r.scope(need) {
			return nil, r.missing(need)
		}
		want[k] = true
	}
	return want, nil
}

func (s chatMethods) conversationsList(r *apiRequest) (map[string]any, *apiError) {
	return s.listLocked(r, "")
}

func (s chatMethods) usersConversations(r *apiRequest) (map[string]any, *apiError) {
	who := r.token.chain.userID
	if u := r.arg("user"); u != "" && u != who {
		if who = u; s.world.userLocked(u) == nil {
			return nil, fail("user_not_found")
		}
	}
	return s.listLocked(r, who)
}

func (s chatMethods) conversationsMembers(r *apiRequest) (map[string]any, *apiError) {
	c, err := s.readableLocked(r, false, "read")
	if err != nil {
		return nil, err
	}
	members := slices.Clone(c.Members)
	if c.im {
		members = []string{c.imUser, r.inst.bot.userID}
	}
	return paged(r, "members", members)
}
