package slacksim

// The methods of the Web API about people, bots and workspaces. docs.slack.dev/reference/methods/users.info

import (
	"fmt"
	"maps"
)

func (s peopleMethods) userJSONLocked(r *apiRequest, u *User) map[string]any {
	out := map[string]any{
		"id": u.ID, "team_id": u.TeamID, "name": u.Name, "deleted": u.Deleted, "is_bot": false, "is_app_user": false,
		"profile": map[string]any{"real_name": u.RealName, "display_name": u.Name, "team": u.TeamID,
			"image_48": s.url + "/icon/" + u.ID + "-48.svg", "image_72": s.url + "/icon/" + u.ID + "-72.svg"},
	}
	if !s.oauth.relatedLocked(r.inst, u.TeamID) {
		// Slack sends little about people from elsewhere, and nothing about their rank.
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
	if t := s.world.teamLocked(u.TeamID); t != nil && t.EnterpriseID != "" {
		out["enterprise_user"] = map[string]any{"id": u.ID,
			"enterprise_id": t.EnterpriseID, "enterprise_name": t.EnterpriseName,
			"is_admin": u.Owner || u.OrgAdmin, "is_owner": u.PrimaryOwner,
			"teams": append([]string{u.TeamID}, u.AlsoIn...)}
	}
	if r.scope("users:read.email") {
		if t := s.world.teamLocked(u.TeamID); t != nil {
			out["profile"].(map[string]any)["email"] = u.Name + "@" + t.Domain + ".example"
		}
	}
	return out
}

// botUserJSON is the app's own bot user.
func (s peopleMethods) botUserJSONLocked(b *bot) map[string]any {
	return map[string]any{
		"id": b.userID, "team_id": b.home, "name": s.world.botNameLocked(), "real_name": s.app.Name,
		"deleted": false, "is_bot": true, "is_app_user": false, "is_admin": false, "is_owner": false,
		"is_primary_owner": false, "is_restricted": false, "is_ultra_restricted": false,
		"profile": map[string]any{"real_name": s.app.Name, "display_name": s.app.Name,
			"bot_id": b.botID, "api_app_id": s.app.ID},
	}
}

func (s peopleMethods) usersInfo(r *apiRequest) (map[string]any, *apiError) {
	id := r.arg("user")
	if id == r.inst.bot.userID {
		return map[string]any{"user": s.botUserJSONLocked(r.inst.bot)}, nil
	}
	u := s.world.userLocked(id)
	switch {
	case u == nil:
		return nil, fail("user_not_found")
	case !s.oauth.sharesLocked(r.inst, u):
		return nil, fail("user_not_visible")
	}
	return map[string]any{"user": s.userJSONLocked(r, u)}, nil
}

func (s peopleMethods) usersList(r *apiRequest) (map[string]any, *apiError) {
	out := []map[string]any{}
	for _, u := range s.world.users {
		if u.TeamID == r.team() {
			out = append(out, s.userJSONLocked(r, u))
		}
	}
	out = append(out, s.botUserJSONLocked(r.inst.bot))
	answer, err := paged(r, "members", out)
	if err == nil {
		answer["cache_ts"] = s.clock.Now().Unix()
	}
	return answer, err
}

func (s peopleMethods) botsInfo(r *apiRequest) (map[string]any, *apiError) {
	b := r.inst.bot
	if r.arg("bot") != b.botID {
		return nil, fail("bot_not_found")
	}
	return map[string]any{"bot": map[string]any{"id": b.botID, "app_id": s.app.ID, "user_id": b.userID, "name": s.app.Name,
		"deleted": false, "updated": r.inst.at.Unix(), "icons": s.world.iconsLocked()}}, nil
}

func (s peopleMethods) teamInfo(r *apiRequest) (map[string]any, *apiError) {
	id := r.arg("team")
	if id == "" {
		id = r.inst.teamID
	}
	t := s.world.teamLocked(id)
	if t == nil || !r.inst.covers(id) {
		return nil, fail("team_not_found")
	}
	icon := map[string]any{"image_default": true}
	for _, n := range []int{34, 44, 68, 88, 102, 132, 230} {
		icon[fmt.Sprintf("image_%d", n)] = fmt.Sprintf("%s/icon/%s-%d.png", s.url, t.ID, n)
	}
	out := map[string]any{"id": t.ID, "name": t.Name, "domain": t.Domain, "email_domain": "",
		"url": s.world.teamURLLocked(t.ID), "icon": icon}
	if t.EnterpriseID != "" {
		out["enterprise_id"], out["enterprise_name"] = t.EnterpriseID, t.EnterpriseName
		out["enterprise_domain"] = t.Domain
	}
	return map[string]any{"team": out}, nil
}
