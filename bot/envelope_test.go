package bot

import "testing"

func TestOwn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, kind string
		in         inner
		want       bool
	}{
		{"a person", "message", inner{User: "U1"}, false},
		{"our user", "message", inner{User: "UBOT"}, true},
		{"our bot id", "message", inner{User: "U7", BotID: "B1"}, true},
		{"another bot", "message", inner{User: "U7", BotID: "B7"}, false},
		{"our edit", "message", inner{Subtype: "message_changed", Message: []byte(`{"bot_id":"B1","text":"b","edited":{}}`),
			Previous: []byte(`{"bot_id":"B1","text":"a"}`)}, true},
		{"what we took back", "message", inner{Subtype: "message_deleted", Previous: []byte(`{"user":"UBOT"}`)}, true},
		{"a person's edit", "message", inner{Subtype: "message_changed", Message: []byte(`{"user":"U1","text":"b"}`),
			Previous: []byte(`{"user":"U1","text":"a"}`)}, false},
		{"another bot's mention", "app_mention", inner{BotID: "B7", AppID: "A7"}, false},
		{"our app by another bot id", "message", inner{BotID: "B7", AppID: "A1"}, true},
		{"our app in the bot's profile", "app_mention", inner{User: "U7", BotID: "B7", BotProfile: []byte(`{"app_id":"A1"}`)},
			true},
		{"our metadata", "message_metadata_posted", inner{UserID: "U7", AppID: "A1"}, true},
		{"our file", "file_shared", inner{UserID: "UBOT"}, true},
		{"another bot reacted", "reaction_added", inner{User: "U7", BotID: "B7"}, false},
		{"somebody installed us", "app_installed", inner{User: "U7", AppID: "A1"}, false},
		{"we joined", "member_joined_channel", inner{User: "UBOT"}, false},
		{"we reacted", "reaction_added", inner{User: "UBOT"}, true},
		{"a user who is an object", "user_change", inner{User: map[string]any{"id": "UBOT"}}, false},
	}
	for _, test := range tests {
		if got := own(test.kind, &test.in, "A1", "UBOT", "B1"); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// One human message arrives as two events; exactly one of them has a handler, whichever comes first and wherever.
func TestOneMessageOneHandler(t *testing.T) {
	t.Parallel()
	routes, problems := newRoutes([]Handler{OnMention("", nil, Bots()),
		OnMessage(`.*`, nil, Scopes("im:history", "channels:history"), Bots())}, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, test := range []struct {
		name      string
		in        inner
		asMessage bool
		asMention bool
	}{
		{"mention in a channel", inner{User: "U1", Channel: "C1", ChannelType: "channel", Text: "<@UBOT> hi"}, false, true},
		{"mention with a name", inner{User: "U1", Channel: "C1", ChannelType: "channel", Text: "hi <@UBOT|bot>"}, false,
			true},
		{"no mention", inner{User: "U1", Channel: "C1", ChannelType: "channel", Text: "hi"}, true, true},
		{"mention in a direct message", inner{User: "U1", Channel: "D1", ChannelType: "im", Text: "<@UBOT> hi"}, true, false},
		{"an edit", inner{User: "U1", Channel: "C1", ChannelType: "channel", Subtype: "message_changed"}, false, false},
		{"another bot's message", inner{User: "U1", BotID: "B7", Channel: "C1", ChannelType: "channel", Text: "hi"}, true,
			true},
		{"nobody's message", inner{Channel: "C1", ChannelType: "channel", Text: "hi"}, false, false},
		{"a hidden message", inner{User: "U1", Channel: "C1", ChannelType: "channel", Hidden: true}, false, false},
		{"where nobody listens", inner{User: "U1", Channel: "G1", ChannelType: "group", Text: "hi"}, false, true},
	} {
		if h, _ := routes.route("message", &test.in, "UBOT"); (h != nil) != test.asMessage {
			t.Errorf("%s: handled as message: %v", test.name, h != nil)
		}
		if h, _ := routes.route("app_mention", &test.in, "UBOT"); (h != nil) != test.asMention {
			t.Errorf("%s: handled as mention: %v", test.name, h != nil)
		}
	}
}

// A field of another JSON type costs no event that can still be told what it is, whose, and by whom.
func TestOddEnvelopes(t *testing.T) {
	for body, want := range map[string]bool{
		`{"type":"event_callback","event_id":"Ev1","event_time":"1700000000","team_id":"T1","is_ext_shared_channel":"false","event":{"type":"message","text":7,"thread_ts":1.5,"hidden":"false"}}`: true,
		`{"type":"event_callback","event_id":"Ev1","team_id":"T1","event":{"type":"message","thread_ts":["1.1"],"channel_type":{"is":"im"},"user_team":[]}}`:                                       true,
		`{"type":"event_callback","event_id":"Ev1","team_id":"T1","event":{"type":"message","text":{"a":1}}}`:                                                                                      false,
		`{"type":"event_callback","event_id":"Ev1","team_id":"T1","event":{"type":"message","bot_id":["B1"]}}`:                                                                                     false,
		`{"type":"event_callback","event_id":"Ev1","team_id":["T1"],"event":{"type":"message"}}`:                                                                                                   false,
		`{"type":"event_callback","event_id":"Ev1","team_id":"T1","authorizations":[{"team_id":["T2"]}],"event":{"type":"message"}}`:                                                               false,
	} {
		if e, err := decodeEnvelope([]byte(body)); (err == nil) != want || want &&
			(e.EventID != "Ev1" || e.TeamID != "T1" || e.Inner.Type != "message") {
			t.Errorf("%s: %v, %+v", body, err, e)
		}
	}
}

// No body, however odd, panics, and what decodes has what the inbox needs.
func FuzzEnvelope(f *testing.F) {
	f.Add(
		[]byte(
			`{"type":"event_callback","event_id":"Ev1","team_id":"T1","event":{"type":"message","user":"U1","text":"hi"}}`))
	f.Add([]byte(`{"type":"url_verification","challenge":"c"}`))
	f.Add(
		[]byte(
			`{"type":"event_callback","event_id":"Ev1","event":{"type":"user_change","user":{"id":"U1"}},"authorizations":[null]}`))
	f.Add([]byte(`{"type":"event_callback","event":null}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := decodeEnvelope(body)
		if err != nil || e.Type != "event_callback" {
			return
		}
		from := e.origin("A1")
		if e.EventID == "" || e.Inner.Type == "" || from.key.AppID == "" {
			t.Errorf("%q became %+v", body, from)
		}
		own(e.Inner.Type, &e.Inner, "A1", "UBOT", "B1")
	})
}
