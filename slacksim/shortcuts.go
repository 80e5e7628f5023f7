package slacksim

// Shortcuts: what an app adds to the menu of each message, and to the menu beside the message box.
// docs.slack.dev/interactivity/implementing-shortcuts

import "context"

// Shortcut is one shortcut of the app, as in a manifest. OnMessage is type "message" there. Others are "global".
type Shortcut struct {
	Name, CallbackID, Description string
	OnMessage                     bool
}

// Shortcut runs a global shortcut of the app, which has no channel and no response_url. It is never retried.
// docs.slack.dev/reference/interaction-payloads/shortcuts-interaction-payload
func (s *Forms) Shortcut(ctx context.Context, userID, callbackID string) (Ack, error) {
	return s.send(ctx, "shortcut "+callbackID, func() (*installation, object, error) {
		u := s.world.userLocked(userID)
		if u == nil || u.Deleted {
			return nil, nil, ErrNoUser
		}
		return s.shortcutLocked(u, "shortcut", callbackID)
	})
}

// MessageShortcut runs a shortcut of the app from the menu of a message, whoever wrote it. The app need not be in that
// conversation. What is for one person alone has no such menu.
// docs.slack.dev/reference/interaction-payloads/message-actions-payload
func (s *Forms) MessageShortcut(ctx context.Context, userID, channelID, ts, callbackID string) (Ack, error) {
	var at spot
	ack, err := s.send(ctx, "message shortcut "+callbackID, func() (in *installation, p object, err error) {
		if at, err = s.messageSpotLocked(userID, channelID, ts, Form{}); err != nil {
			return nil, nil, err
		}
		if at.m.Ephemeral {
			return nil, nil, ErrNoShortcut
		}
		if in, p, err = s.shortcutLocked(at.user, "message_action", callbackID); err != nil {
			return nil, nil, err
		}

		p["message_ts"], p["message"] = at.m.TS, s.world.messageJSONLocked(at.c, at.m)
		p["channel"] = object{"id": at.c.ID, "name": commandChannelName(at.c)}
		p["response_url"] = s.hooks.newHookLocked(in, userID, at.c.ID, "").url
		p["user"].(object)["name"] = at.user.Name
		return in, p, nil
	})
	s.tell(at.c, userID, ack)
	return ack, err
}

// shortcutLocked is what both kinds have in common. They belong to the members of the installing workspace.
func (s *Forms) shortcutLocked(u *User, typ, callbackID string) (*installation, object, error) {
	found := false
	for _, x := range s.app.Shortcuts {
		found = found || x.CallbackID == callbackID && x.OnMessage == (typ == "message_action")
	}
	in := s.oauth.installLocked(u.TeamID)
	switch {
	case !found:
		return nil, nil, ErrNoShortcut
	case in == nil || !in.has("commands"):
		return nil, nil, ErrNotInstalled
	}

	p := s.interactionLocked(in, u, typ)
	delete(p, "api_app_id") // Slack's samples have none, like the person's name in a global one
	delete(p["user"].(object), "name")
	p["callback_id"], p["action_ts"] = callbackID, timestamp(s.clock.Now())
	return in, p, nil
}
