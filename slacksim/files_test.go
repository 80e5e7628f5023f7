package slacksim_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/slacksim"
)

const fileScopes = botScopes + ",files:read,files:write"

// withFiles is a world whose app hears of files and sees #general.
func withFiles(t *testing.T) (w *world, token string) {
	w = newWorld(t, func(c *slacksim.Config) { c.App.Events = append(c.App.Events, "file_shared") })
	token = w.Install(slacksim.AcmeAdmin, fileScopes)
	in, _ := w.Sim.Installed(slacksim.Acme)
	w.Sim.Invite(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, in.BotUserID)
	w.Settled()
	return w, token
}

func (w *world) fetch(method, url, token, body string) (int, string) {
	w.T.Helper()
	req, _ := http.NewRequestWithContext(w.Ctx, method, url, strings.NewReader(body))
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.T.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

func TestUploadBySlackGo(t *testing.T) {
	w, tok := withFiles(t)
	api := slack.New(tok, slack.OptionAPIURL(w.Sim.URL()+"/api/"))
	sum, err := api.UploadFileContext(w.Ctx, slack.UploadFileParameters{Filename: "report.csv", FileSize: 9,
		Content: "a,b\n1,2\n\n", Title: "Report", Channel: slacksim.AcmeGeneral, InitialComment: "Here it is"})
	if err != nil {
		t.Fatal(err)
	}
	w.Settled()

	files := w.Sim.Files.All()
	if len(files) != 1 || files[0].ID != sum.ID || string(files[0].Content) != "a,b\n1,2\n\n" ||
		files[0].Title != "Report" || len(files[0].Shares[slacksim.AcmeGeneral]) != 1 {
		t.Fatalf("files %+v", files)
	}
	info, _, _, err := api.GetFileInfoContext(w.Ctx, sum.ID, 0, 0)
	if err != nil || len(info.Shares.Public[slacksim.AcmeGeneral]) != 1 || info.Mimetype != "text/plain" {
		t.Errorf("files.info %+v, %v", info, err)
	}
	var got strings.Builder
	if err := api.GetFileContext(w.Ctx, info.URLPrivate, &got); err != nil || got.String() != "a,b\n1,2\n\n" {
		t.Errorf("downloaded %q, %v", got.String(), err)
	}

	e := w.Bot.Events("message")[0].Event
	if e["subtype"] != "file_share" || e["text"] != "Here it is" || len(e["files"].([]any)) != 1 {
		t.Errorf("the share came as %v", e)
	}
	if e := w.Bot.Events("file_shared"); len(e) != 1 || e[0].Event["file_id"] != sum.ID || e[0].Event["ts"] != nil {
		t.Errorf("file_shared %v", e)
	}
	w.WantBreaches()
}

func TestUploadByHand(t *testing.T) {
	w, tok := withFiles(t)
	w.WantError("files.getUploadURLExternal", tok, "missing_argument", "filename", "a.txt", "length", "0")
	w.WantError("files.getUploadURLExternal", tok, "snippet_too_large", "filename", "a", "length", "1048577",
		"snippet_type", "text")
	a := w.Call("files.getUploadURLExternal", tok, "filename", "a.txt", "length", "5", "alt_txt", "five letters")
	id, to := a.Str("file_id"), a.Str("upload_url")
	one := `[{"id":"` + id + `"}]`
	w.WantError("files.completeUploadExternal", tok, "file_not_found", "files", one)
	if code, _ := w.fetch("POST", to, "", "too long"); code != 400 {
		t.Errorf("a file of another length: %d", code)
	}
	if code, body := w.fetch("POST", to, "", "hello"); code != 200 || body != "OK - 5" {
		t.Errorf("uploaded: %d %s", code, body)
	}
	w.WantError("files.completeUploadExternal", tok, "not_in_channel", "files", one, "channel_id", slacksim.AcmeRandom)
	w.WantError("files.completeUploadExternal", tok, "channel_not_found", "files", one, "channel_id", "C0NOWHERE")
	w.WantError("files.completeUploadExternal", tok, "invalid_arguments", "files", one, "initial_comment", "c",
		"blocks", `[{"type":"divider"}]`)
	w.WantError("files.info", tok, "file_not_found", "file", id)
	w.WantError("files.delete", tok, "file_not_found", "file", id)
	w.WantError("files.completeUploadExternal", tok, "invalid_thread_ts", "files", one, "thread_ts", "1.2",
		"channels", slacksim.AcmeGeneral+","+w.Sim.DM(slacksim.AcmeAdmin))
	var many []string
	for i := range 101 {
		many = append(many, fmt.Sprintf("C%d", i))
	}
	w.WantError("files.completeUploadExternal", tok, "channels_limit_exceeded", "files", one,
		"channels", strings.Join(many, ","))

	// Completed without a channel it stays private, and it can be completed once.
	if a := w.Call("files.completeUploadExternal", tok, "files", one); a["ok"] != true {
		t.Fatal(a)
	}
	w.WantError("files.completeUploadExternal", tok, "file_not_found", "files", one)
	w.Settled()
	if code, _ := w.fetch("POST", to, "", "again"); code != 404 {
		t.Errorf("uploaded after it was complete: %d", code)
	}
	if files := w.Sim.Files.All(); len(files) != 1 || len(files[0].Shares) != 0 || files[0].AltText != "five letters" {
		t.Errorf("files %+v", files)
	}

	url := w.Sim.URL() + "/files-pri/" + id + "/a.txt"
	if _, body := w.fetch("GET", url, "", ""); !strings.Contains(body, "Sign in") {
		t.Errorf("without a token: %s", body)
	}
	if _, body := w.fetch("GET", url, tok, ""); body != "hello" {
		t.Errorf("with the token: %s", body)
	}
	if a := w.Call("files.delete", tok, "file", id); a["ok"] != true || len(w.Sim.Files.All()) != 0 {
		t.Errorf("deleted: %v", a)
	}
	w.WantError("files.getUploadURLExternal", w.Install(slacksim.BirchAdmin, botScopes), "missing_scope")
}

func TestFilesNeedTheirPermission(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin, botScopes+",files:write")
	a := w.Call("files.getUploadURLExternal", tok, "filename", "a.txt", "length", "5")
	w.fetch("POST", a.Str("upload_url"), "", "hello")
	w.Call("files.completeUploadExternal", tok, "files", `[{"id":"`+a.Str("file_id")+`"}]`)
	if _, body := w.fetch("GET", w.Sim.URL()+"/files-pri/"+a.Str("file_id")+"/a.txt", tok, ""); strings.Contains(body,
		"hello") {
		t.Error("read without files:read")
	}
	w.Sim.People.Share(w.Ctx, slacksim.AcmeAdmin, w.Sim.DM(slacksim.AcmeAdmin), "", "", slacksim.Upload{Name: "b.txt"})
	w.WantError("files.delete", tok, "cant_delete_file", "file", w.Sim.Files.All()[1].ID)
}

func TestPersonSharesFiles(t *testing.T) {
	w, tok := withFiles(t)
	ts, err := w.Sim.People.Share(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, "", "two files",
		slacksim.Upload{Name: "a.txt", Content: []byte("one")}, slacksim.Upload{Name: "b.txt", Content: []byte("two")})
	if err != nil {
		t.Fatal(err)
	}
	w.Settled()
	e := w.Bot.Events("message")[0].Event
	files, _ := e["files"].([]any)
	if e["subtype"] != "file_share" || e["ts"] != ts || len(files) != 2 || e["user"] != slacksim.AcmeMember {
		t.Fatalf("%v", e)
	}
	if url := answer(files[1].(map[string]any)).Str("url_private"); true {
		if _, body := w.fetch("GET", url, tok, ""); body != "two" {
			t.Errorf("read %q", body)
		}
	}

	// In a channel that another company shares the event has stubs.
	w.Sim.AddChannel(slacksim.Channel{ID: "C0SHARED01", TeamID: slacksim.Acme, Name: "shared",
		SharedWith: []string{slacksim.Birch}, Members: []string{slacksim.AcmeMember}})
	in, _ := w.Sim.Installed(slacksim.Acme)
	w.Sim.Invite(w.Ctx, slacksim.AcmeMember, "C0SHARED01", in.BotUserID)
	w.Sim.People.Share(w.Ctx, slacksim.AcmeMember, "C0SHARED01", "", "",
		slacksim.Upload{Name: "c.txt", Content: []byte("c")})
	w.Settled()
	list := w.Bot.Events("message")
	stub := list[len(list)-1].Event["files"].([]any)[0].(map[string]any)
	if stub["file_access"] != "check_file_info" || stub["name"] != nil {
		t.Errorf("the stub is %v", stub)
	}
	if a := w.Call("files.info", tok, "file", stub["id"].(string)); a.Str("file", "name") != "c.txt" {
		t.Errorf("files.info %v", a)
	}
}
