package slacksim

// What each Web API method does. All run under the Sim's lock, after the token has been admitted.
// docs.slack.dev/reference/methods

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"switchboard/slacksim/internal/blockkit"
)

// methods is filled in a function because the entries refer to each other's helpers through Sim.
var methods = map[string]method{
	"api.test":                       {run: (*Sim).apiTest},
	"auth.test":                      {kinds: "both", run: (*Sim).authTest},
	"auth.revoke":                    {kinds: "both", run: (*Sim).authRevoke},
	"auth.teams.list":                {kinds: "both", formOnly: true, run: (*Sim).authTeamsList},
	"apps.connections.open":          {run: (*Sim).connectionsOpen},
	"apps.event.authorizations.list": {run: (*Sim).eventAuthorizations},
	"apps.uninstall":                 {kinds: "both", formOnly: true, run: (*Sim).appsUninstall},
	"oauth.v2.access":                {run: (*Sim).oauthAccess},
	"oauth.v2.exchange":              {run: (*Sim).oauthExchange},
	"chat.postMessage":               {kinds: "both", scopes: []string{"chat:write"}, run: (*Sim).chatPostMessage},
	"chat.postEphemeral":             {kinds: "both", scopes: []string{"chat:write"}, run: (*Sim).chatPostEphemeral},
	"chat.update":                    {kinds: "both", scopes: []string{"chat:write"}, run: (*Sim).chatUpdate},
	"chat.delete":                    {kinds: "both", scopes: []string{"chat:write"}, run: (*Sim).chatDelete},
	"conversations.open":             {kinds: "both", scopes: []string{"im:write", "mpim:write", "channels:manage", "groups:write"}, run: (*Sim).conversationsOpen},
	"conversations.join":             {kinds: "both", scopes: []string{"channels:join"}, run: (*Sim).conversationsJoin},
	"conversations.info":             {kinds: "both", scopes: readScopes, formOnly: true, run: (*Sim).conversationsInfo},
	"conversations.list":             {kinds: "both", scopes: readScopes, formOnly: true, orgTeam: true, run: (*Sim).conversationsList},
	"conversations.history":          {kinds: "both", formOnly: true, run: (*Sim).conversationsHistory},
	"conversations.replies":          {kinds: "both", formOnly: true, run: (*Sim).conversationsReplies},
	"conversations.members":          {kinds: "both", scopes: readScopes, formOnly: true, run: (*Sim).conversationsMembers},
	"users.conversations":            {kinds: "both", scopes: readScopes, formOnly: true, orgTeam: true, run: (*Sim).usersConversations},
	"users.info":                     {kinds: "both", scopes: []string{"users:read"}, formOnly: true, run: (*Sim).usersInfo},
	"users.list":                     {kinds: "both", scopes: []string{"users:read"}, formOnly: true, orgTeam: true, run: (*Sim).usersList},
	"bots.info":                      {kinds: "both", scopes: []string{"users:read"}, formOnly: true, orgTeam: true, run: (*Sim).botsInfo},
	"team.info":                      {kinds: "both", scopes: []string{"team:read"}, formOnly: true, run: (*Sim).teamInfo},
	"views.open":                     {kinds: "both", run: (*Sim).viewsOpen},
	"views.push":                     {kinds: "both", run: (*Sim).viewsPush},
	"views.update":                   {kinds: "both", run: (*Sim).viewsUpdate},
	"views.publish":                  {kinds: "bot", run: (*Sim).viewsPublish},
	"reactions.add":                  {kinds: "both", scopes: []string{"reactions:write"}, run: (*Sim).reactionsAdd},
}

// The methods of the Web API, by what they are about.
type (
	appMethods    struct{ *events }
	chatMethods   struct{ *events }
	peopleMethods struct{ *oauth }
	viewMethods   struct{ *responder }
)

var readScopes = []string{"channels:read", "groups:read", "im:read", "mpim:read"}

func (s appMethods) apiTest(r *apiRequest) (map[string]any, *apiError) {
	args := map[string]any{}
	for k := range r.form {
		args[k] = r.form.Get(k)
	}
	if e := r.arg("error"); e != "" {
		return map[string]any{"args": args}, fail(e)
	}
	return map[string]any{"args": args}, nil
}

func (s *world) teamURLLocked(id string) string { return s.url + "/client/" + id + "/" }

func (s appMethods) authTest(r *apiRequest) (map[string]any, *apiError) {
	in := r.inst
	out := map[string]any{
		"url": s.teamURLLocked(in.home), "team_id": in.home, "user_id": r.token.chain.userID,
		"is_enterprise_install": in.org, "app_id": s.app.ID, "app_name": s.app.Name,
	}
	if t := s.teamLocked(in.teamID); t != nil {
		out["team"] = t.Name
	} else {
		out["team"] = s.enterpriseNameLocked(in.enterpriseID) // an organisation's token answers with the E… id
	}
	if in.enterpriseID != "" {
		out["enterprise_id"] = in.enterpriseID
	}
	if r.token.chain.kind == "bot" {
		out["user"], out["bot_id"] = s.botNameLocked(), in.bot.botID
	} else if u := s.userLocked(r.token.chain.userID); u != nil {
		out["user"] = u.Name
	}
	if !r.token.expires.IsZero() {
		out["expires_in"] = int(r.token.expires.Sub(s.clock.Now()).Seconds())
	}
	return out, nil
}

// botNameLocked is the app's user name: its name in lower case without spaces.
func (s *world) botNameLocked() string {
	n := strings.ToLower(strings.Join(strings.Fields(s.app.Name), ""))
	if n == "" {
		n = "app"
	}
	return n
}

func (s appMethods) authRevoke(r *apiRequest) (map[string]any, *apiError) {
	if r.flag("test") {
		return map[string]any{"revoked": false}, nil
	}
	t := r.token
	t.state = revoked
	in := r.inst
	switch {
	case !t.expires.IsZero():
		// A rotating token dies alone; the installation and its other tokens stay.
	case t.chain.kind == "user":
		delete(in.users, t.chain.userID)
		if s.subscribedLocked("tokens_revoked") {
			s.sendUninstallLocked(in, OnlyRevoked, nil, []string{t.chain.userID}, 0)
		}
	case s.app.RevokeKeepsApp || len(in.users) > 0:
		in.chain = nil
		s.sendUninstallLocked(in, OnlyRevoked, []string{in.bot.userID}, nil, 0)
	default:
		bots, users := s.removeLocked(in)
		t.state = revoked // removal marks tokens inactive; this one was revoked by name
		s.sendUninstallLocked(in, RevokedFirst, bots, users, 0)
	}
	s.noteLocked()
	return map[string]any{"revoked": true}, nil
}

func (s appMethods) authTeamsList(r *apiRequest) (map[string]any, *apiError) {
	ids := []string{r.inst.teamID}
	if r.inst.org {
		ids = r.inst.granted
	}
	teams := []any{}
	for _, id := range ids {
		if t := s.teamLocked(id); t != nil {
			teams = append(teams, map[string]any{"id": t.ID, "name": t.Name})
		}
	}
	list, meta, err := page(r, teams)
	return map[string]any{"teams": list, "response_metadata": meta}, err
}

// client returns the sent client id and secret, HTTP Basic first.
func (r *apiRequest) client() (id, secret string) {
	if r.basic[0] != "" {
		return r.basic[0], r.basic[1]
	}
	return r.arg("client_id"), r.arg("client_secret")
}

func (s *oauth) credentialsLocked(r *apiRequest) *apiError {
	id, secret := r.client()
	switch {
	case id == "" || id != s.app.ClientID:
		return fail("invalid_client_id")
	case secret != s.app.ClientSecret:
		return fail("bad_client_secret")
	}
	return nil
}

func (s appMethods) appsUninstall(r *apiRequest) (map[string]any, *apiError) {
	if err := s.credentialsLocked(r); err != nil {
		return nil, err
	}
	bots, users := s.removeLocked(r.inst)
	s.sendUninstallLocked(r.inst, RevokedFirst, bots, users, 0)
	return nil, nil
}

func (s appMethods) oauthAccess(r *apiRequest) (map[string]any, *apiError) {
	if err := s.credentialsLocked(r); err != nil {
		return nil, err
	}
	switch r.arg("grant_type") {
	case "", "authorization_code":
		return s.exchangeCodeLocked(r)
	case "refresh_token":
		return s.refreshLocked(r)
	}
	return nil, fail("invalid_grant_type")
}

func (s appMethods) oauthExchange(r *apiRequest) (map[string]any, *apiError) {
	if err := s.credentialsLocked(r); err != nil {
		return nil, err
	}
	return s.swapLocked(r)
}

// --- messages

// content reads text and blocks of a message and checks them.
func (s chatMethods) contentLocked(r *apiRequest) (text string, blocks json.RawMessage, err *apiError) {
	text = r.arg("text")
	if md := r.arg("markdown_text"); md != "" {
		if text != "" || r.has("blocks") {
			return "", nil, fail("markdown_text_conflict")
		}
		if utf8.RuneCountInString(md) > 12000 {
			return "", nil, fail("msg_too_long")
		}
		text = md
	}
	if r.has("blocks") {
		var msgs []string
		if blocks, msgs = s.messageBlocksLocked(r.arg("blocks")); len(msgs) > 0 {
			return "", nil, failWith("invalid_blocks", msgs...)
		}
	}
	if text == "" && blocks == nil && !r.has("attachments") {
		return "", nil, fail("no_text")
	}
	if blocks != nil && strings.TrimSpace(text) == "" {
		s.breachLocked(RuleNoText, "%s was called with blocks but no text", r.method)
	}
	return cut(text, 40000), blocks, nil
}

// cut shortens text to n characters, as Slack does with messages above 40,000.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n])
}

// messageBlocksLocked checks blocks for a message. An empty array means none.
func (s *world) messageBlocksLocked(raw string) (json.RawMessage, []string) {
	out, msgs := blockkit.CheckMessage(json.RawMessage(raw), s.idLocked)
	if len(msgs) > 0 {
		return nil, msgs
	}
	if string(out) == "[]" || string(out) == "null" {
		return nil, nil
	}
	return out, nil
}

// placeLocked finds the conversation a message goes to and checks that the token's holder may write there.
func (s chatMethods) placeLocked(r *apiRequest, write bool) (*channel, *apiError) {
	id := r.arg("channel")
	if id == "" {
		return nil, fail("channel_not_found")
	}
	if u := s.userLocked(id); u != nil {
		if !s.sharesLocked(r.inst, u) {
			return nil, fail("channel_not_found")
		}
		return s.dmLocked(id), nil // a user id means that person's DM
	}
	c := s.channelLocked(id)
	if c == nil && !r.inst.org { // an organisation's token needs ids
		for _, x := range s.channels {
			if !x.im && x.inTeam(r.inst.teamID) && x.Name == strings.TrimPrefix(id, "#") {
				c = x
			}
		}
	}
	if c == nil || !s.reachesLocked(r.inst, c) {
		return nil, fail("channel_not_found")
	}
	me := r.token.chain.userID
	if c.im || c.has(me) {
		return c, nil
	}
	if c.Private {
		return nil, fail("channel_not_found")
	}
	if write && !r.scope("chat:write.public") {
		return nil, fail("not_in_channel")
	}
	return c, nil
}

// reachesLocked: the conversation lies in a workspace the installation covers.
func (s *oauth) reachesLocked(in *installation, c *channel) bool {
	return in.covers(c.TeamID) || slices.ContainsFunc(c.SharedWith, in.covers)
}

// sharesLocked: the installation can see the person, at home or through a shared channel.
func (s *oauth) sharesLocked(in *installation, u *User) bool {
	if s.relatedLocked(in, u.TeamID) {
		return true
	}
	return slices.ContainsFunc(s.channels, func(c *channel) bool {
		return !c.im && len(c.SharedWith) > 0 && c.inTeam(u.TeamID) && s.reachesLocked(in, c)
	})
}

// messageJSONLocked is a message as the API and events show it.
func (s *world) messageJSONLocked(c *channel, m *Message) map[string]any {
	out := map[string]any{"type": "message", "ts": m.TS, "text": m.Text, "user": m.User}
	if m.ThreadTS != "" {
		out["thread_ts"] = m.ThreadTS
	}
	if m.Blocks != nil {
		out["blocks"] = m.Blocks
	}
	if u := s.userLocked(m.User); u != nil {
		out["team"] = u.TeamID
	}
	if m.BotID != "" {
		b := s.botByUserLocked(m.BotID)
		out["bot_id"], out["app_id"] = m.BotID, s.app.ID
		home := c.TeamID
		if b != nil && !strings.HasPrefix(b.home, "E") {
			home = b.home
		}
		out["team"] = home
		out["bot_profile"] = map[string]any{
			"id": m.BotID, "app_id": s.app.ID, "name": s.app.Name, "deleted": false, "team_id": home, "updated": m.At.Unix(),
			"user_id": m.User, "icons": s.iconsLocked(),
		}
	}
	if m.Edited {
		out["edited"] = map[string]any{"user": m.User, "ts": m.TS}
	}
	return out
}

func (s *world) iconsLocked() map[string]any {
	out := map[string]any{}
	for _, n := range []string{"36", "48", "72"} {
		out["image_"+n] = s.url + "/icon/" + s.app.ID + "-" + n + ".svg"
	}
	return out
}

func (s chatMethods) author(r *apiRequest) *Message {
	m := &Message{User: r.token.chain.userID}
	if r.token.chain.kind == "bot" {
		m.BotID = r.inst.bot.botID
	}
	return m
}

func (s chatMethods) chatPostMessage(r *apiRequest) (map[string]any, *apiError) {
	c, err := s.placeLocked(r, true)
	if err != nil {
		return nil, err
	}
	m := s.author(r)
	if m.Text, m.Blocks, err = s.contentLocked(r); err != nil {
		return nil, err
	}
	if m.Metadata, err = s.metadataLocked(r); err != nil {
		return nil, err
	}
	if m.ThreadTS = r.arg("thread_ts"); m.ThreadTS != "" && c.find(m.ThreadTS) == nil {
		return nil, fail("thread_not_found")
	}
	s.postLocked(c, m)
	s.messageEventsLocked(c, m, "")
	return map[string]any{"channel": c.ID, "ts": m.TS, "message": s.messageJSONLocked(c, m)}, nil
}

func (s chatMethods) chatPostEphemeral(r *apiRequest) (map[string]any, *apiError) {
	c, err := s.placeLocked(r, true)
	if err != nil {
		return nil, err
	}
	u := s.userLocked(r.arg("user"))
	if u == nil {
		return nil, fail("user_not_found")
	}
	if !c.has(u.ID) {
		return nil, fail("user_not_in_channel")
	}
	m := s.author(r)
	if m.Text, m.Blocks, err = s.contentLocked(r); err != nil {
		return nil, err
	}
	m.Ephemeral, m.EphemeralTo, m.ThreadTS = true, u.ID, r.arg("thread_ts")
	s.postLocked(c, m)
	return map[string]any{"message_ts": m.TS}, nil
}

// ownLocked finds a message of the caller's own.
func (s chatMethods) ownLocked(r *apiRequest, denied string) (*channel, *Message, *apiError) {
	c := s.channelLocked(r.arg("channel"))
	if c == nil || !s.reachesLocked(r.inst, c) {
		return nil, nil, fail("channel_not_found")
	}
	m := c.find(r.arg("ts"))
	if m == nil || m.Deleted || m.Ephemeral { // ephemeral messages change through their response_url only
		return nil, nil, fail("message_not_found")
	}
	if m.User != r.token.chain.userID {
		return nil, nil, fail(denied)
	}
	return c, m, nil
}

func (s chatMethods) chatUpdate(r *apiRequest) (map[string]any, *apiError) {
	c, m, err := s.ownLocked(r, "cant_update_message")
	if err != nil {
		return nil, err
	}
	text, blocks, err := s.contentLocked(r)
	if err != nil {
		return nil, err
	}
	before := s.messageJSONLocked(c, m)
	// Text without blocks replaces the blocks; an update by blocks does not show as edited.
	m.Text, m.Blocks, m.Edited = text, blocks, m.Edited || blocks == nil
	s.noteLocked()
	s.editEventLocked(c, m, "message_changed", before)
	return map[string]any{"channel": c.ID, "ts": m.TS, "text": m.Text, "message": s.messageJSONLocked(c, m)}, nil
}

func (s chatMethods) chatDelete(r *apiRequest) (map[string]any, *apiError) {
	c, m, err := s.ownLocked(r, "cant_delete_message")
	if err != nil {
		return nil, err
	}
	before := s.messageJSONLocked(c, m)
	m.Deleted = true
	s.noteLocked()
	s.editEventLocked(c, m, "message_deleted", before)
	return map[string]any{"channel": c.ID, "ts": m.TS}, nil
}

func (s chatMethods) reactionsAdd(r *apiRequest) (map[string]any, *apiError) {
	c, err := s.placeLocked(r, false)
	if err != nil {
		return nil, err
	}
	m := c.find(r.arg("timestamp"))
	if m == nil || m.Deleted || m.Ephemeral {
		return nil, fail("message_not_found")
	}
	name := strings.Trim(r.arg("name"), ":")
	if name == "" {
		return nil, fail("invalid_name")
	}
	me := r.token.chain.userID
	if slices.Contains(m.Reactions[name], me) {
		return nil, fail("already_reacted")
	}
	if m.Reactions == nil {
		m.Reactions = map[string][]string{}
	}
	m.Reactions[name] = append(slices.Clone(m.Reactions[name]), me)
	s.noteLocked()
	return nil, nil
}

// --- conversations

func kindScope(c *channel, verb string) string {
	return map[string]string{"im": "im:", "group": "groups:", "channel": "channels:"}[c.kind()] + verb
}

func (s chatMethods) channelJSONLocked(r *apiRequest, c *channel) map[string]any {
	out := map[string]any{
		"id": c.ID, "created": 1700000000, "is_archived": false, "is_im": c.im, "context_team_id": c.TeamID,
		"is_org_shared": false, "is_ext_shared": len(c.SharedWith) > 0, "is_shared": len(c.SharedWith) > 0,
	}
	if c.im {
		out["user"] = c.imUser
		out["is_open"] = true
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
		c := s.channelLocked(id)
		if c == nil || !c.im || !s.reachesLocked(r.inst, c) {
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
	u := s.userLocked(ids[0])
	if u == nil || !s.sharesLocked(r.inst, u) {
		return nil, fail("user_not_found")
	}
	if u.Deleted {
		return nil, fail("user_disabled")
	}
	c := s.dmLocked(u.ID)
	ch := map[string]any{"id": c.ID}
	if r.flag("return_im") {
		ch = s.channelJSONLocked(r, c)
	}
	return map[string]any{"channel": ch, "no_op": true, "already_open": true}, nil
}

func (s chatMethods) conversationsJoin(r *apiRequest) (map[string]any, *apiError) {
	c := s.channelLocked(r.arg("channel"))
	if c == nil || c.im || c.Private || !s.reachesLocked(r.inst, c) {
		return nil, fail("channel_not_found")
	}
	s.joinLocked(c, r.token.chain.userID, "")
	return map[string]any{"channel": s.channelJSONLocked(r, c)}, nil
}

func (s chatMethods) conversationsInfo(r *apiRequest) (map[string]any, *apiError) {
	c, err := s.placeLocked(r, false)
	if err != nil {
		return nil, err
	}
	if need := kindScope(c, "read"); !r.scope(need) {
		return nil, r.missing(need)
	}
	return map[string]any{"channel": s.channelJSONLocked(r, c)}, nil
}

// listLocked lists conversations by the types argument: those that somebody is in, "" for all; of those that aren't
// public, only what the caller is in, too.
func (s chatMethods) listLocked(r *apiRequest, of string) (map[string]any, *apiError) {
	types := splitScopes(r.arg("types"))
	if len(types) == 0 {
		types = []string{"public_channel"}
	}
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
	me, team := r.token.chain.userID, r.team()
	out := []map[string]any{}
	for _, c := range s.channels {
		member := c.has(me) || c.im && len(c.messages) > 0
		theirs := of == "" || of == me && member || c.has(of) || c.im && c.imUser == of
		if !c.inTeam(team) || !want[c.kind()] || !theirs || (c.Private || c.im) && !member {
			continue
		}
		out = append(out, s.channelJSONLocked(r, c))
	}
	list, meta, err := page(r, out)
	return map[string]any{"channels": list, "response_metadata": meta}, err
}

func (s chatMethods) conversationsList(r *apiRequest) (map[string]any, *apiError) {
	return s.listLocked(r, "")
}

func (s chatMethods) usersConversations(r *apiRequest) (map[string]any, *apiError) {
	who := r.token.chain.userID
	if u := r.arg("user"); u != "" && u != who {
		if who = u; s.userLocked(u) == nil {
			return nil, fail("user_not_found")
		}
	}
	return s.listLocked(r, who)
}

func (s chatMethods) conversationsMembers(r *apiRequest) (map[string]any, *apiError) {
	c, err := s.placeLocked(r, false)
	if err != nil {
		return nil, err
	}
	if need := kindScope(c, "read"); !r.scope(need) {
		return nil, r.missing(need)
	}
	members := slices.Clone(c.Members)
	if c.im {
		members = []string{c.imUser, r.inst.bot.userID}
	}
	list, meta, err := page(r, members)
	return map[string]any{"members": list, "response_metadata": meta}, err
}

// --- people, bots, workspaces

func (s peopleMethods) userJSONLocked(r *apiRequest, u *User) map[string]any {
	out := map[string]any{
		"id": u.ID, "team_id": u.TeamID, "name": u.Name, "deleted": u.Deleted, "is_bot": false, "is_app_user": false,
		"profile": map[string]any{"real_name": u.RealName, "display_name": u.Name, "team": u.TeamID,
			"image_48": s.url + "/icon/" + u.ID + "-48.svg", "image_72": s.url + "/icon/" + u.ID + "-72.svg"},
	}
	if !s.relatedLocked(r.inst, u.TeamID) {
		// Slack sends little about people from elsewhere; nothing about their rank.
		out["is_stranger"] = true
		return out
	}
	tz := u.Location()
	_, offset := s.clock.Now().In(tz).Zone()
	maps.Copy(out, map[string]any{
		"real_name": u.RealName, "tz": u.TZ, "tz_label": u.TZ, "tz_offset": offset, "updated": 1700000000,
		"is_admin": u.Admin, "is_owner": u.Owner, "is_primary_owner": u.PrimaryOwner, "is_restricted": u.Guest,
		"is_ultra_restricted": false, "is_stranger": false,
	})
	if r.flag("include_locale") {
		out["locale"] = "en-GB"
	}
	if t := s.teamLocked(u.TeamID); t != nil && t.EnterpriseID != "" {
		out["enterprise_user"] = map[string]any{"id": u.ID, "enterprise_id": t.EnterpriseID, "enterprise_name": t.EnterpriseName,
			"is_admin": u.Owner || u.OrgAdmin, "is_owner": u.PrimaryOwner,
			"teams": append([]string{u.TeamID}, u.AlsoIn...)}
	}
	if r.scope("users:read.email") {
		if t := s.teamLocked(u.TeamID); t != nil {
			out["profile"].(map[string]any)["email"] = u.Name + "@" + t.Domain + ".example"
		}
	}
	return out
}

// botUserJSON is the app's own bot user.
func (s peopleMethods) botUserJSONLocked(b *bot) map[string]any {
	return map[string]any{
		"id": b.userID, "team_id": b.home, "name": s.botNameLocked(), "real_name": s.app.Name, "deleted": false, "is_bot": true,
		"is_app_user": false, "is_admin": false, "is_owner": false, "is_primary_owner": false, "is_restricted": false,
		"is_ultra_restricted": false,
		"profile":             map[string]any{"real_name": s.app.Name, "display_name": s.app.Name, "bot_id": b.botID, "api_app_id": s.app.ID},
	}
}

func (s peopleMethods) usersInfo(r *apiRequest) (map[string]any, *apiError) {
	id := r.arg("user")
	if id == r.inst.bot.userID {
		return map[string]any{"user": s.botUserJSONLocked(r.inst.bot)}, nil
	}
	u := s.userLocked(id)
	switch {
	case u == nil:
		return nil, fail("user_not_found")
	case !s.sharesLocked(r.inst, u):
		return nil, fail("user_not_visible")
	}
	return map[string]any{"user": s.userJSONLocked(r, u)}, nil
}

func (s peopleMethods) usersList(r *apiRequest) (map[string]any, *apiError) {
	out := []map[string]any{}
	for _, u := range s.users {
		if u.TeamID == r.team() {
			out = append(out, s.userJSONLocked(r, u))
		}
	}
	out = append(out, s.botUserJSONLocked(r.inst.bot))
	list, meta, err := page(r, out)
	return map[string]any{"members": list, "cache_ts": s.clock.Now().Unix(), "response_metadata": meta}, err
}

func (s peopleMethods) botsInfo(r *apiRequest) (map[string]any, *apiError) {
	b := r.inst.bot
	if r.arg("bot") != b.botID {
		return nil, fail("bot_not_found")
	}
	return map[string]any{"bot": map[string]any{"id": b.botID, "app_id": s.app.ID, "user_id": b.userID, "name": s.app.Name,
		"deleted": false, "updated": r.inst.at.Unix(), "icons": s.iconsLocked()}}, nil
}

func (s peopleMethods) teamInfo(r *apiRequest) (map[string]any, *apiError) {
	id := r.arg("team")
	if id == "" {
		id = r.inst.teamID
	}
	t := s.teamLocked(id)
	if t == nil || !r.inst.covers(id) {
		return nil, fail("team_not_found")
	}
	icon := map[string]any{"image_default": true}
	for _, n := range []int{34, 44, 68, 88, 102, 132, 230} {
		icon[fmt.Sprintf("image_%d", n)] = fmt.Sprintf("%s/icon/%s-%d.png", s.url, t.ID, n)
	}
	out := map[string]any{"id": t.ID, "name": t.Name, "domain": t.Domain, "email_domain": "", "url": s.teamURLLocked(t.ID), "icon": icon}
	if t.EnterpriseID != "" {
		out["enterprise_id"], out["enterprise_name"] = t.EnterpriseID, t.EnterpriseName
		out["enterprise_domain"] = t.Domain
	}
	return map[string]any{"team": out}, nil
}

func (s *engine) hashLocked() string {
	return fmt.Sprintf("%d.%s", s.clock.Now().Unix(), randomText(8))
}
