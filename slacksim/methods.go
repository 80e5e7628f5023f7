package slacksim

// What each Web API method does. All run under the Sim's lock, after the token has been admitted.
// docs.slack.dev/reference/methods

import (
	"cmp"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/switchboard-go/switchboard/slacksim/internal/blockkit"
)

// methodsOf are those that this Slack knows.
func methodsOf(p *parts) map[string]method {
	app, chat, people, view := appMethods{p}, chatMethods{p}, peopleMethods{p}, viewMethods{p}
	files := fileMethods{p}
	stream, agent := streamMethods{chat}, sessionMethods{p}
	return map[string]method{
		"api.test":                       {free: true, run: app.apiTest},
		"auth.test":                      {run: app.authTest},
		"auth.revoke":                    {run: app.authRevoke},
		"auth.teams.list":                {formOnly: true, run: app.authTeamsList},
		"apps.connections.open":          {free: true, appToken: true, run: app.connectionsOpen},
		"apps.event.authorizations.list": {free: true, appToken: true, run: app.eventAuthorizations},
		"apps.uninstall":                 {formOnly: true, client: true, run: app.appsUninstall},
		"apps.manifest.create":           {free: true, config: true, run: p.settings.createLocked},
		"apps.manifest.update":           {free: true, config: true, run: p.settings.updateLocked},
		"apps.manifest.validate":         {free: true, config: true, run: p.settings.validateLocked},
		"apps.manifest.export":           {free: true, config: true, run: p.settings.exportLocked},
		"apps.manifest.delete":           {free: true, config: true, run: p.settings.deleteLocked},
		"tooling.tokens.rotate":          {free: true, formOnly: true, run: p.settings.rotateLocked},
		"oauth.v2.access":                {free: true, client: true, run: app.oauthAccess},
		"oauth.v2.exchange":              {free: true, client: true, run: p.oauth.swapLocked},
		"chat.postMessage":               {scopes: chatWrite, run: chat.chatPostMessage},
		"chat.postEphemeral":             {scopes: chatWrite, run: chat.chatPostEphemeral},
		"chat.scheduleMessage":           {scopes: chatWrite, run: chat.scheduleMessage},
		"chat.deleteScheduledMessage":    {scopes: chatWrite, run: chat.deleteScheduled},
		"chat.scheduledMessages.list":    {run: chat.listScheduled},
		"chat.update":                    {scopes: chatWrite, tier: 3, run: chat.chatUpdate},
		"chat.unfurl": {scopes: []string{"links:write"}, tier: 3, before: chat.waitForAck,
			run: chat.chatUnfurl},
		"chat.delete":                           {scopes: chatWrite, run: chat.chatDelete},
		"chat.startStream":                      {scopes: chatWrite, kind: "bot", tier: 2, run: stream.start},
		"chat.appendStream":                     {scopes: chatWrite, kind: "bot", tier: 4, run: stream.append},
		"chat.stopStream":                       {scopes: chatWrite, kind: "bot", tier: 2, run: stream.stop},
		"agents.sessions.setStatus":             {scopes: chatWrite, kind: "bot", tier: 3, run: agent.setStatus},
		"agents.sessions.rename":                {scopes: chatWrite, kind: "bot", tier: 3, run: agent.rename},
		"assistant.threads.setSuggestedPrompts": {scopes: []string{"assistant:write"}, kind: "bot", run: agent.suggest},
		"conversations.open":                    {scopes: openScopes, run: chat.conversationsOpen},
		"conversations.join":                    {scopes: []string{"channels:join"}, run: chat.conversationsJoin},
		"conversations.info":                    {scopes: readScopes, formOnly: true, run: chat.conversationsInfo},
		"conversations.list": {scopes: readScopes, formOnly: true, orgTeam: true,
			run: chat.conversationsList},
		"conversations.history":        {formOnly: true, run: chat.conversationsHistory},
		"conversations.replies":        {formOnly: true, run: chat.conversationsReplies},
		"conversations.members":        {scopes: readScopes, formOnly: true, run: chat.conversationsMembers},
		"users.conversations":          {scopes: readScopes, formOnly: true, orgTeam: true, run: chat.usersConversations},
		"files.getUploadURLExternal":   {scopes: filesWrite, formOnly: true, run: files.uploadURL},
		"files.completeUploadExternal": {scopes: filesWrite, run: files.completeUpload},
		"files.info":                   {scopes: []string{"files:read"}, formOnly: true, run: files.info},
		"files.delete":                 {scopes: filesWrite, run: files.deleteFile},
		"users.info":                   {scopes: usersRead, formOnly: true, run: people.usersInfo},
		"users.list":                   {scopes: usersRead, formOnly: true, orgTeam: true, run: people.usersList},
		"bots.info":                    {scopes: usersRead, formOnly: true, orgTeam: true, run: people.botsInfo},
		"team.info":                    {scopes: []string{"team:read"}, formOnly: true, run: people.teamInfo},
		"blocks.validate":              {run: view.blocksValidate},
		"views.open":                   {run: view.showLocked},
		"views.push":                   {run: view.showLocked},
		"views.update":                 {run: view.viewsUpdate},
		"views.publish":                {kind: "bot", run: view.viewsPublish},
		"reactions.add":                {scopes: []string{"reactions:write"}, run: chat.reactionsAdd},
		"reactions.remove":             {scopes: []string{"reactions:write"}, run: chat.reactionsRemove},
		"functions.completeSuccess":    {kind: "bot", tier: 3, run: app.completeFunction},
		"functions.completeError":      {kind: "bot", tier: 3, run: app.completeFunction},
	}
}

// The methods of the Web API, by what they are about.
type (
	appMethods    struct{ *parts }
	chatMethods   struct{ *parts }
	peopleMethods struct{ *parts }
	viewMethods   struct{ *parts }
)

var (
	openScopes = []string{"im:write", "mpim:write", "channels:manage", "groups:write"}
	readScopes = []string{"channels:read", "groups:read", "im:read", "mpim:read"}
	usersRead  = []string{"users:read"}
	chatWrite  = []string{"chat:write"}
	filesWrite = []string{"files:write"}
)

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

func (s appMethods) authTest(r *apiRequest) (map[string]any, *apiError) {
	in := r.inst
	out := map[string]any{
		"url": s.world.teamURLLocked(in.home), "team_id": in.home, "user_id": r.token.chain.userID,
		"is_enterprise_install": in.org, "app_id": s.app.ID, "app_name": s.app.Name,
	}

	out["team"], _ = s.world.nameLocked(in.home) // an organisation's token answers with the E… id
	if in.enterpriseID != "" {
		out["enterprise_id"] = in.enterpriseID
	}

	if r.token.chain.kind == "bot" {
		out["user"], out["bot_id"] = s.world.botNameLocked(), in.bot.botID
	} else if u := s.world.userLocked(r.token.chain.userID); u != nil {
		out["user"] = u.Name
	}
	if !r.token.expires.IsZero() {
		out["expires_in"] = int(r.token.expires.Sub(s.clock.Now()).Seconds())
	}
	return out, nil
}

func (s appMethods) authRevoke(r *apiRequest) (map[string]any, *apiError) {
	if r.flag("test") {
		return map[string]any{"revoked": false}, nil
	}
	t, in := r.token, r.inst
	t.state = revoked
	switch {
	case !t.expires.IsZero():
		// A rotating token dies alone. The installation and its other tokens stay.
	case t.chain.kind == "user":
		delete(in.users, t.chain.userID)
		if s.events.subscribedLocked("tokens_revoked") {
			s.events.sendUninstallLocked(in, OnlyRevoked, nil, []string{t.chain.userID}, 0)
		}
	case s.app.RevokeKeepsApp || len(in.users) > 0:
		in.chain = nil
		s.events.sendUninstallLocked(in, OnlyRevoked, []string{in.bot.userID}, nil, 0)
	default:
		bots, users := s.oauth.removeLocked(in)
		t.state = revoked // removal marks tokens inactive; this one was revoked by name
		s.events.sendUninstallLocked(in, RevokedFirst, bots, users, 0)
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
		if t := s.world.teamLocked(id); t != nil {
			teams = append(teams, map[string]any{"id": t.ID, "name": t.Name})
		}
	}
	return paged(r, "teams", teams)
}

// client returns the sent client id and secret, HTTP Basic first.
func (r *apiRequest) client() (id, secret string) {
	if r.basic[0] != "" {
		return r.basic[0], r.basic[1]
	}
	return r.arg("client_id"), r.arg("client_secret")
}

func (s appMethods) appsUninstall(r *apiRequest) (map[string]any, *apiError) {
	bots, users := s.oauth.removeLocked(r.inst)
	s.events.sendUninstallLocked(r.inst, RevokedFirst, bots, users, 0)
	return nil, nil
}

func (s appMethods) oauthAccess(r *apiRequest) (map[string]any, *apiError) {
	switch r.arg("grant_type") {
	case "", "authorization_code":
		return s.oauth.exchangeCodeLocked(r)
	case "refresh_token":
		return s.oauth.refreshLocked(r)
	}
	return nil, fail("invalid_grant_type")
}

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

	raw := json.RawMessage(r.arg("blocks"))
	blocks, err = s.hooks.contentLocked(text, raw, r.has("attachments"), r.method+" was called with")
	return cut(text, 40000), blocks, err
}

// cut shortens text to n characters, as Slack does with messages above 40,000.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n])
}

// placeLocked finds the conversation a message goes to and checks that the token's holder may write there.
func (s chatMethods) placeLocked(r *apiRequest, write bool) (*channel, *apiError) {
	id := r.arg("channel")
	if id == "" {
		return nil, fail("channel_not_found")
	}
	if u := s.world.userLocked(id); u != nil {
		if !s.oauth.sharesLocked(r.inst, u) {
			return nil, fail("channel_not_found")
		}
		return s.world.dmLocked(id), nil // a user id means that person's DM
	}

	c := s.world.channelLocked(id)
	if c == nil && !r.inst.org { // an organisation's token needs ids
		c = s.world.namedLocked(r.inst.teamID, strings.TrimPrefix(id, "#"))
	}
	if c == nil || !s.oauth.reachesLocked(r.inst, c) {
		return nil, fail("channel_not_found")
	}

	switch {
	case c.im || c.has(r.token.chain.userID):
	case c.Private:
		return nil, fail("channel_not_found")
	case write && !r.scope("chat:write.public"):
		return nil, fail("not_in_channel")
	}
	return c, nil
}

func (s chatMethods) author(r *apiRequest) *Message {
	m := &Message{User: r.token.chain.userID, run: r.token.run}
	if r.token.chain.kind == "bot" {
		m.BotID = r.inst.bot.botID
	}
	return m
}

// draftLocked is a message that the call describes, and where it goes.
func (s chatMethods) draftLocked(r *apiRequest) (*channel, *Message, *apiError) {
	c, err := s.placeLocked(r, true)
	if err != nil {
		return nil, nil, err
	}
	if c.im && !s.app.MessagesTab {
		return nil, nil, fail("messages_tab_disabled")
	}
	m := s.author(r)
	if m.Text, m.Blocks, err = s.contentLocked(r); err != nil {
		return nil, nil, err
	}
	if m.Metadata, err = s.metadataLocked(r); err != nil {
		return nil, nil, err
	}
	if m.Attachments, err = s.attachmentsLocked(r); err != nil {
		return nil, nil, err
	}

	if r.has("username") || r.has("icon_emoji") || r.has("icon_url") {
		if !r.scope("chat:write.customize") {
			return nil, nil, r.missing("chat:write.customize")
		}
		m.Username = r.arg("username")
	}
	if m.ThreadTS, err = c.threadLocked(r); err != nil {
		return nil, nil, err
	}
	if m.ThreadTS != "" && r.flag("reply_broadcast") {
		m.Subtype = "thread_broadcast"
	}
	return c, m, nil
}

// threadLocked is the thread that a call names: by its root, not by a reply.
func (c *channel) threadLocked(r *apiRequest) (string, *apiError) {
	ts := r.arg("thread_ts")
	root := c.find(ts)
	switch {
	case ts == "":
		return "", nil
	case root == nil || root.Deleted && !c.replied(root):
		return "", fail("thread_not_found")
	case root.Ephemeral || root.isReply():
		return "", fail("cannot_reply_to_message")
	}
	return ts, nil
}

// attachmentsLocked are kept as they were sent, but for their blocks' ids. An empty list means none.
func (s chatMethods) attachmentsLocked(r *apiRequest) (json.RawMessage, *apiError) {
	raw := r.arg("attachments")
	if raw == "" || raw == "[]" {
		return nil, nil
	}
	out, wrong := blockkit.CheckAttachments(json.RawMessage(raw), s.world.idLocked)
	if len(wrong) > 0 {
		return nil, failWith("invalid_attachments", wrong...)
	}
	var list []json.RawMessage
	if _ = json.Unmarshal(out, &list); len(list) > 100 {
		return nil, fail("too_many_attachments")
	}
	return out, nil
}

func (s chatMethods) chatPostMessage(r *apiRequest) (map[string]any, *apiError) {
	c, m, err := s.draftLocked(r)
	if err != nil {
		return nil, err
	}
	s.world.postLocked(c, m)
	s.events.messageEventsLocked(c, m, "")
	return map[string]any{"channel": c.ID, "ts": m.TS, "message": s.world.messageJSONLocked(c, m)}, nil
}

func (s chatMethods) chatPostEphemeral(r *apiRequest) (map[string]any, *apiError) {
	c, m, err := s.draftLocked(r)
	if err != nil {
		return nil, err
	}
	u := s.world.userLocked(r.arg("user"))
	switch {
	case !r.has("user"):
		return nil, failWith("invalid_arguments", "[ERROR] missing required field: user")
	case u == nil || !c.has(u.ID):
		return nil, fail("user_not_in_channel")
	}

	m.Ephemeral, m.EphemeralTo, m.Subtype = true, u.ID, "" // reply_broadcast is none of its arguments
	s.world.postLocked(c, m)
	return map[string]any{"message_ts": m.TS}, nil
}

// ownLocked finds a message of the caller's own.
func (s chatMethods) ownLocked(r *apiRequest, denied string) (*channel, *Message, *apiError) {
	c := s.world.channelLocked(r.arg("channel"))
	if c == nil || !s.oauth.reachesLocked(r.inst, c) {
		return nil, nil, fail("channel_not_found")
	}
	m := c.find(r.arg("ts"))
	switch {
	case m == nil || m.Deleted || m.Ephemeral: // ephemeral messages change through their response_url only
		return nil, nil, fail("message_not_found")
	case m.User != r.token.chain.userID:
		return nil, nil, fail(denied)
	}
	return c, m, nil
}

func (s chatMethods) chatUpdate(r *apiRequest) (map[string]any, *apiError) {
	c, m, err := s.ownLocked(r, "cant_update_message")
	if err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(r.arg("text")) > 4000 { // where chat.postMessage cuts at 40,000
		return nil, fail("msg_too_long")
	}
	text, blocks, err := s.contentLocked(r)
	if err != nil {
		return nil, err
	}
	attachments, err := s.attachmentsLocked(r)
	if err != nil {
		return nil, err
	}
	metadata, err := s.metadataLocked(r)
	if err != nil {
		return nil, err
	}
	if m.Streaming == streaming {
		return nil, fail("streaming_state_conflict")
	}

	before := s.world.messageJSONLocked(c, m)
	// Text without blocks replaces the blocks, blocks without text keep it. What else was left out stays. An update by
	// blocks does not show as edited.
	if text != "" || blocks == nil {
		m.Text = text
	}
	if r.has("attachments") {
		m.Attachments = attachments
	}
	if r.has("metadata") {
		m.Metadata = metadata
	}
	m.run = cmp.Or(m.run, r.token.run)
	m.Blocks, m.Edited, m.editedTS = blocks, m.Edited || blocks == nil, s.world.tsLocked()
	s.noteLocked()
	s.events.editEventLocked(c, m, "message_changed", before, c.TeamID)
	return map[string]any{"channel": c.ID, "ts": m.TS, "text": m.Text, "message": s.world.messageJSONLocked(c, m)}, nil
}

func (s chatMethods) chatDelete(r *apiRequest) (map[string]any, *apiError) {
	c, m, err := s.ownLocked(r, "cant_delete_message")
	if err != nil {
		return nil, err
	}
	s.events.deleteLocked(c, m, c.TeamID)
	return map[string]any{"channel": c.ID, "ts": m.TS}, nil
}
