package slacksim

// Files: the three steps of an upload by the app, files that people share, and reading them back.
// docs.slack.dev/messaging/working-with-files

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// File is a file as Slack keeps it.
type File struct {
	ID, TeamID, User      string // User is who uploaded it: a person, or the app's bot
	Name, Title, Mimetype string
	AltText               string
	Content               []byte
	Created               time.Time
	Shares                map[string][]string // channel → ts of the messages it is in
}

// file is a File, and how far its upload has come.
type file struct {
	File
	inst   *installation // whose app uploads it; nil for a person's
	length int           // announced for an upload, in bytes
	done   bool          // completed, which can happen once
	gone   bool          // deleted
	given  []*installation
}

// Files are what was uploaded to a Sim.
type Files struct {
	*engine
	record  *record
	world   *world
	oauth   *oauth
	events  *events
	all     []*file
	uploads map[string]*file // by the secret part of the upload URL
}

// maxUpload bounds one uploaded file, in bytes. Slack takes 1 GB.
const maxUpload = 64 << 20

// All returns the files whose upload is complete and that were not deleted, in the order they were uploaded.
func (s *Files) All() (out []File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.all {
		if f.done && !f.gone {
			out = append(out, f.export())
		}
	}
	return out
}

func (f *file) export() File {
	x := f.File
	x.Shares = maps.Clone(f.Shares)
	return x
}

// addLocked makes a file that has no content yet.
func (s *Files) addLocked(team, user, name string) *file {
	f := &file{File: File{ID: s.world.idLocked("F"), TeamID: team, User: user, Name: name, Title: name,
		Created: s.clock.Now(), Shares: map[string][]string{}}}
	s.all = append(s.all, f)
	return f
}

func (f *file) fill(content []byte) {
	f.Content = content
	f.Mimetype, _, _ = strings.Cut(http.DetectContentType(content), ";")
}

func (s *Files) findLocked(id string) *file {
	return first(s.all, func(f *file) bool { return f.ID == id && !f.gone })
}

// shareLocked posts files in a conversation. The app hears file_shared before the message, as it often does in Slack.
func (s *Files) shareLocked(c *channel, m *Message, authorTeam string, files []*file) {
	m.Subtype = "file_share"
	for _, f := range files {
		m.Files = append(m.Files, f.export())
	}
	s.world.postLocked(c, m)
	for _, f := range files {
		f.Shares[c.ID] = append(f.Shares[c.ID], m.TS)
		s.sharedEventLocked(c, f, authorTeam)
	}
	s.events.messageEventsLocked(c, m, authorTeam)
}

func (s *Files) sharedEventLocked(c *channel, f *file, authorTeam string) {
	s.events.tellOnceLocked(c, cmp.Or(authorTeam, c.TeamID), "file_shared", map[string]any{"type": "file_shared",
		"file_id": f.ID, "user_id": f.User, "channel_id": c.ID, "file": map[string]any{"id": f.ID}})
}

// Upload is a file that a person shares.
type Upload struct {
	Name    string
	Content []byte
}

// Share posts a message with files as a person, in a thread where threadTS is one, and returns its ts. It is the
// message event with the subtype file_share.
func (s *People) Share(_ context.Context, userID, channelID, threadTS, text string, files ...Upload) (ts string,
	err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, c, err := s.world.memberLocked(userID, channelID)
	if err == nil && threadTS != "" && c.find(threadTS) == nil {
		err = ErrNoMessage
	}
	if err != nil {
		return "", fmt.Errorf("share files: %w", err)
	}

	var list []*file
	for _, x := range files {
		f := s.files.addLocked(u.TeamID, u.ID, x.Name)
		f.fill(x.Content)
		f.done = true
		list = append(list, f)
	}
	m := &Message{User: userID, Text: text, ThreadTS: threadTS, client: clientMsgID()}
	s.files.shareLocked(c, m, u.TeamID, list)
	s.links.sharedLocked(c, m)
	return m.TS, nil
}

// Attach makes a file of a person's that is shared nowhere, as a file_input of a modal does. Its id is what the input
// is filled in with.
func (s *People) Attach(_ context.Context, userID string, x Upload) (File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.world.userLocked(userID)
	if u == nil {
		return File{}, fmt.Errorf("attach file: %w", ErrNoUser)
	}
	f := s.files.addLocked(u.TeamID, u.ID, x.Name)
	f.fill(x.Content)
	f.done = true
	return f.export(), nil
}

// givenLocked are the files that a person put into a file_input of the app's. The app may read them from then on.
func (s *Files) givenLocked(in *installation, ids []string) []any {
	out := []any{}
	for _, id := range ids {
		if f := s.findLocked(id); f != nil {
			f.given = append(f.given, in)
			out = append(out, s.world.fileJSON(f.File))
		}
	}
	return out
}

// fileJSON is a file as messages show it.
func (s *world) fileJSON(f File) map[string]any {
	private := s.url + "/files-pri/" + f.ID + "/" + path.Base(f.Name)
	out := map[string]any{
		"id": f.ID, "created": f.Created.Unix(), "timestamp": f.Created.Unix(), "name": f.Name, "title": f.Title,
		"mimetype": f.Mimetype, "filetype": cmp.Or(strings.TrimPrefix(path.Ext(f.Name), "."), "binary"),
		"user": f.User, "user_team": f.TeamID, "size": len(f.Content), "mode": "hosted", "is_external": false,
		"url_private": private, "url_private_download": private + "?download=1", "file_access": "visible",
	}
	if f.AltText != "" {
		out["alt_txt"] = f.AltText
	}
	return out
}

// filesJSON are those of a message. In a channel shared with another company they are stubs: files.info has the rest.
func (s *world) filesJSON(c *channel, files []File) (out []map[string]any) {
	for _, f := range files {
		if len(c.SharedWith) > 0 {
			out = append(out, map[string]any{"id": f.ID, "mode": "file_access", "file_access": "check_file_info",
				"created": 0, "timestamp": 0, "user": ""})
			continue
		}
		out = append(out, s.fileJSON(f))
	}
	return out
}

// serveUpload is the second step: the bytes, raw or as a part of a form, without a token.
func (s *Files) serveUpload(w http.ResponseWriter, r *http.Request) {
	content, err := uploaded(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.uploads[r.PathValue("secret")]
	switch {
	case f == nil || f.done || f.inst.gone:
		http.Error(w, "not found", http.StatusNotFound)
	case err != nil || len(content) != f.length:
		http.Error(w, "the file isn't as long as announced", http.StatusBadRequest)
	default:
		f.fill(content)
		s.noteLocked()
		fmt.Fprintf(w, "OK - %d", len(content))
	}
}

// uploaded reads the bytes of an upload: the body, or the first file of a form.
func uploaded(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxUpload))
	if err != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		return body, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if err = r.ParseMultipartForm(maxUpload); err != nil {
		return nil, err
	}
	for _, parts := range r.MultipartForm.File {
		part, err := parts[0].Open()
		if err != nil {
			return nil, err
		}
		defer part.Close()
		return io.ReadAll(part)
	}
	return nil, http.ErrMissingFile
}

// serveDownload is a file's url_private. Without a token that may read files Slack shows its sign-in page, as HTML.
func (s *Files) serveDownload(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.findLocked(r.PathValue("id"))
	t := s.oauth.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if t == nil || !slices.Contains(t.chain.scopes, "files:read") || f == nil || !s.visibleLocked(t.chain.inst, f) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!DOCTYPE html><title>Sign in</title>")
		return
	}
	w.Header().Set("Content-Type", f.Mimetype)
	_, _ = w.Write(f.Content)
}

// visibleLocked reports whether an installation may see a file: its own, or one shared where its bot is.
func (s *Files) visibleLocked(in *installation, f *file) bool {
	if f.inst == in || slices.Contains(f.given, in) {
		return true
	}
	for id := range f.Shares {
		if c := s.world.channelLocked(id); c != nil && s.oauth.reachesLocked(in, c) && c.seenBy(in) {
			return true
		}
	}
	return false
}

// fileMethods are those of the Web API about files.
type fileMethods struct{ *parts }

func (s fileMethods) uploadURL(r *apiRequest) (map[string]any, *apiError) {
	name := r.arg("filename")
	length, _ := strconv.Atoi(r.arg("length"))
	switch {
	case name == "" || length <= 0:
		return nil, fail("missing_argument")
	case utf8.RuneCountInString(r.arg("alt_txt")) > 1000:
		return nil, fail("alt_txt_too_large")
	case r.has("snippet_type") && length > 1<<20:
		return nil, fail("snippet_too_large")
	case length > maxUpload:
		return nil, fail("file_upload_size_restricted")
	}

	f := s.files.addLocked(r.inst.home, r.token.chain.userID, name)
	f.inst, f.length, f.AltText = r.inst, length, r.arg("alt_txt")
	secret := s.record.secretLocked(randomText(32))
	s.files.uploads[secret] = f
	return map[string]any{"upload_url": s.url + "/upload/v1/" + secret, "file_id": f.ID}, nil
}

// completeUpload is the third step, once only. The files appear in the conversations afterwards, in the background.
func (s fileMethods) completeUpload(r *apiRequest) (map[string]any, *apiError) {
	files, err := s.completableLocked(r)
	if err != nil {
		return nil, err
	}
	places, err := s.placesLocked(r)
	if err != nil {
		return nil, err
	}
	if r.has("initial_comment") && r.has("blocks") {
		return nil, failWith("invalid_arguments", "[ERROR] must provide initial_comment or blocks, not both")
	}
	m := Message{User: r.token.chain.userID, Text: r.arg("initial_comment"), ThreadTS: r.arg("thread_ts")}
	if r.token.chain.kind == "bot" {
		m.BotID = r.inst.bot.botID
	}
	if r.has("blocks") {
		var wrong []string
		if m.Blocks, wrong = s.world.messageBlocksLocked(r.arg("blocks")); len(wrong) > 0 {
			return nil, failWith("invalid_blocks", wrong...)
		}
	}

	out := []any{}
	for _, f := range files {
		f.done = true
		out = append(out, map[string]any{"id": f.ID, "title": f.Title})
	}
	s.spawnLocked(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range places {
			one := m
			s.files.shareLocked(c, &one, "", files)
		}
	})
	s.noteLocked()
	return map[string]any{"files": out}, nil
}

// completableLocked are the files that the call names: uploaded, by this app, and not completed yet.
func (s fileMethods) completableLocked(r *apiRequest) (files []*file, err *apiError) {
	var list []struct{ ID, Title string }
	if json.Unmarshal([]byte(r.arg("files")), &list) != nil || len(list) == 0 {
		return nil, failWith("invalid_arguments", "[ERROR] missing required field: files")
	}
	for _, x := range list {
		f := s.files.findLocked(x.ID)
		if f == nil || f.inst != r.inst || f.done || f.Content == nil || slices.Contains(files, f) {
			return nil, fail("file_not_found")
		}
		files = append(files, f)
	}
	for i, f := range files {
		f.Title = cmp.Or(list[i].Title, f.Title)
	}
	return files, nil
}

// placesLocked are the conversations that files are shared in: none, one, or up to 100.
func (s fileMethods) placesLocked(r *apiRequest) (places []*channel, err *apiError) {
	ids := splitScopes(cmp.Or(r.arg("channel_id"), r.arg("channels")))
	if len(ids) > 100 {
		return nil, fail("channels_limit_exceeded")
	}
	for _, id := range ids {
		c := s.world.channelLocked(id)
		switch {
		case c == nil || !s.oauth.reachesLocked(r.inst, c) || c.Private && !c.im && !c.has(r.token.chain.userID):
			return nil, fail("channel_not_found")
		case !c.im && !c.has(r.token.chain.userID):
			return nil, fail("not_in_channel")
		case r.has("thread_ts") && (len(ids) > 1 || c.find(r.arg("thread_ts")) == nil):
			return nil, fail("invalid_thread_ts")
		}
		places = append(places, c)
	}
	return places, nil
}

// seenLocked is the file that a call names, if the caller may see it.
func (s fileMethods) seenLocked(r *apiRequest) (*file, *apiError) {
	f := first(s.files.all, func(f *file) bool { return f.ID == r.arg("file") })
	switch {
	case f == nil || !f.done || !s.files.visibleLocked(r.inst, f):
		return nil, fail("file_not_found")
	case f.gone:
		return nil, fail("file_deleted")
	}
	return f, nil
}

func (s fileMethods) info(r *apiRequest) (map[string]any, *apiError) {
	f, err := s.seenLocked(r)
	if err != nil {
		return nil, err
	}

	out := s.world.fileJSON(f.File)
	lists := map[string][]string{"channels": {}, "groups": {}, "ims": {}}
	shares := map[string]map[string]any{}
	for id, all := range f.Shares {
		c := s.world.channelLocked(id)
		kind, side := c.kind()+"s", map[bool]string{true: "private", false: "public"}[c.Private]
		lists[kind] = append(lists[kind], id)
		if shares[side] == nil {
			shares[side] = map[string]any{}
		}
		var at []any
		for _, ts := range all {
			at = append(at, map[string]any{"ts": ts, "channel_name": c.Name, "team_id": c.TeamID})
		}
		shares[side][id] = at
	}
	out["shares"] = shares
	for k, v := range lists {
		slices.Sort(v)
		out[k] = v
	}
	return map[string]any{"file": out, "comments": []any{}}, nil
}

func (s fileMethods) deleteFile(r *apiRequest) (map[string]any, *apiError) {
	f, err := s.seenLocked(r)
	if err != nil {
		return nil, err
	}
	if f.User != r.token.chain.userID {
		return nil, fail("cant_delete_file")
	}
	f.gone = true
	s.noteLocked()
	return nil, nil
}
