package slacksim

import "net/http"

func (s *Sim) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/", s.serveAPI)
	mux.HandleFunc("/hooks/response/{team}/{id}/{secret}", s.serveResponseURL)
	mux.HandleFunc("/hooks/services/{team}/{id}/{secret}", s.serveWebhook)
	return mux
}
