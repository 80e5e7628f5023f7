package web

// What a person does with a message that is there: edit it, delete it, read its files.

import (
	"net/http"
	"slices"
	"strings"

	"github.com/switchboard-go/switchboard/slacksim"
)

// mayChange: people edit and delete what they wrote, and admins delete what others did.
func mayChange(u slacksim.User, m *slacksim.Message) bool {
	return !m.Ephemeral && (m.User == u.ID || u.Admin)
}

// messageForms are how.
type messageForms struct{ *site }

// message is the one at the request's address, if the person sees it.
func (s messageForms) message(r *http.Request, u slacksim.User) (m slacksim.Message, channel string, ok bool) {
	channel = s.placeID(u, r.PathValue("place"))
	c, known := s.sim.Directory.Channel(channel)
	if !known || !c.VisibleTo(u) {
		return m, channel, false
	}
	all := s.sim.Messages(channel, u.ID)
	i := slices.IndexFunc(all, func(m slacksim.Message) bool { return m.TS == r.PathValue("ts") && !m.Deleted })
	if i < 0 {
		return m, channel, false
	}
	return all[i], channel, mayChange(u, &all[i])
}

func (s messageForms) pageChange(w http.ResponseWriter, r *http.Request, u slacksim.User) {
	m, _, ok := s.message(r, u)
	if !ok {
		problem(w, http.StatusNotFound, "That message is gone", "It was deleted or changed in the meantime.", "")
		return
	}
	to := localPath(r.URL.Query().Get("back"), "/client/"+u.TeamID+"/"+r.PathValue("place"))
	write(w, http.StatusOK, "change.html", map[string]any{"To": r.URL.Path, "Own": m.User == u.ID, "Back": to,
		"Text": entities.Replace(m.Text)})
}

func (s messageForms) doChange(w http.ResponseWriter, r *http.Request, u slacksim.User) {
	m, channel, ok := s.message(r, u)
	if ok && r.PostFormValue("do") == "delete" {
		ok = s.sim.People.Delete(r.Context(), u.ID, channel, m.TS) == nil
	} else if ok {
		text := strings.TrimSpace(strings.ReplaceAll(r.PostFormValue("text"), "\r\n", "\n"))
		ok = text != "" && s.sim.Forms.Retype(r.Context(), u.ID, channel, m.TS, text) == nil
	}
	if !ok {
		problem(w, http.StatusConflict, "Nothing happened", "That message can no longer be changed.", "")
		return
	}
	back(w, r, "/client/"+u.TeamID+"/"+r.PathValue("place"))
}

// file sends a file to somebody who sees one of the conversations it is in.
func (s messageForms) file(w http.ResponseWriter, r *http.Request, u slacksim.User) {
	for _, f := range s.sim.Files.All() {
		for id := range f.Shares {
			if c, ok := s.sim.Directory.Channel(id); ok && f.ID == r.PathValue("id") && c.VisibleTo(u) {
				w.Header().Set("Content-Type", "application/octet-stream")
				w.Header().Set("Content-Disposition", "attachment")
				_, _ = w.Write(f.Content)
				return
			}
		}
	}
	problem(w, http.StatusNotFound, "No such file", "It was deleted, or you are not in the conversation it is in.", "")
}
