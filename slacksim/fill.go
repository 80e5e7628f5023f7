package slacksim

// How a Slack gets its workspaces, people and channels, and two worlds that are ready made.

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

var notInDomain = regexp.MustCompile(`[^a-z0-9]`)

// AddWorkspace adds a workspace or replaces the one with the same ID. An empty ID is filled in. It returns what is
// kept.
func (s *Sim) AddWorkspace(w Workspace) Workspace {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.ID == "" {
		w.ID = s.world.idLocked("T")
	}
	w.Name = cmp.Or(w.Name, w.ID)
	w.Domain = cmp.Or(w.Domain, strings.Trim(notInDomain.ReplaceAllString(strings.ToLower(w.Name), "-"), "-"))
	if old := s.world.teamLocked(w.ID); old != nil {
		*old = w
	} else {
		s.world.teams, s.world.teamByID[w.ID] = append(s.world.teams, &w), &w
	}
	s.noteLocked()
	return w
}

// AddUser adds a person or replaces the one with the same ID. An empty ID is filled in.
func (s *Sim) AddUser(u User) User {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.ID == "" {
		u.ID = s.world.idLocked("U")
	}
	u.RealName, u.TZ = cmp.Or(u.RealName, u.Name), cmp.Or(u.TZ, "UTC")
	u.Owner = u.Owner || u.PrimaryOwner
	u.Admin = u.Admin || u.Owner || u.OrgAdmin
	if old := s.world.userLocked(u.ID); old != nil {
		*old = u
	} else {
		s.world.users, s.world.userByID[u.ID] = append(s.world.users, &u), &u
	}
	s.noteLocked()
	return u
}

// AddChannel adds a channel or replaces the settings of the one with the same ID. An empty ID is filled in.
func (s *Sim) AddChannel(c Channel) Channel {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.ID == "" {
		c.ID = s.world.idLocked("C")
	}
	c.Members = slices.Clone(c.Members)
	c.SharedWith = slices.Clone(c.SharedWith)
	if old := s.world.channelLocked(c.ID); old != nil {
		old.Channel = c
	} else {
		s.world.channels = append(s.world.channels, &channel{Channel: c, pending: map[string]string{}})
	}
	s.noteLocked()
	return c
}

// Ids of the world AddSmallWorld makes.
const (
	Acme, Birch = "T0ACME0001", "T0BIRCH001"

	AcmeAdmin, AcmeMember   = "U0ACMEDANA", "U0ACMELEON"
	BirchAdmin, BirchMember = "U0BIRCHIVY", "U0BIRCHSAM"

	AcmeGeneral, AcmeRandom     = "C0ACMEGENE", "C0ACMEPROJ"
	BirchGeneral, BirchProjects = "C0BIRCHGEN", "C0BIRCHDSG"
)

// AddSmallWorld adds two workspaces, each with an admin, a plain member, #general and one more channel.
func (s *Sim) AddSmallWorld() {
	s.AddWorkspace(Workspace{ID: Acme, Name: "Acme Corp", Domain: "acme-corp"})
	s.AddUser(User{ID: AcmeAdmin, TeamID: Acme, Name: "dana", RealName: "Dana Reyes", TZ: "Europe/Berlin", Admin: true})
	s.AddUser(User{ID: AcmeMember, TeamID: Acme, Name: "leon", RealName: "Leon Okafor", TZ: "Europe/London"})
	s.AddChannel(Channel{ID: AcmeGeneral, TeamID: Acme, Name: "general", Members: []string{AcmeAdmin, AcmeMember}})
	s.AddChannel(Channel{ID: AcmeRandom, TeamID: Acme, Name: "project-atlas", Members: []string{AcmeAdmin, AcmeMember}})
	s.AddWorkspace(Workspace{ID: Birch, Name: "Birch & Co", Domain: "birch-co"})
	s.AddUser(User{ID: BirchAdmin, TeamID: Birch, Name: "ivy", RealName: "Ivy Tanaka", TZ: "America/New_York",
		Admin: true})
	s.AddUser(User{ID: BirchMember, TeamID: Birch, Name: "sam", RealName: "Sam Lindqvist", TZ: "Europe/Stockholm"})
	s.AddChannel(Channel{ID: BirchGeneral, TeamID: Birch, Name: "general", Members: []string{BirchAdmin, BirchMember}})
	s.AddChannel(Channel{ID: BirchProjects, TeamID: Birch, Name: "design", Members: []string{BirchAdmin, BirchMember}})
}

// Ids of what AddLargerWorld makes besides.
const (
	Northwind                     = "E0NORTHWND"
	NorthwindSales, NorthwindLabs = "T0NWSALES1", "T0NWLABS01"

	NorthwindOrgAdmin                   = "U0NWNDNORA" // signs in to Northwind Sales
	SalesAdmin, SalesMember, SalesGuest = "U0SALESTOM", "U0SALESPRI", "U0SALESMAX"
	LabsAdmin, LabsMember               = "U0LABSADA1", "U0LABSKOFI"

	SalesGeneral, LabsGeneral = "C0SALESGEN", "C0LABSGENE"
	NorthwindBirch            = "C0NWNDBIRC" // Northwind Sales shares it with Birch & Co
)

// AddLargerWorld adds the small world and beside it an organisation of two workspaces, one of which shares a channel
// with Birch & Co through Slack Connect: an organisation's admin, admins of its workspaces, members, a guest who is in
// the shared channel alone, and BirchMember, who is in it from the other company.
func (s *Sim) AddLargerWorld() {
	s.AddSmallWorld()
	add := func(team, id, name, realName, zone string, u User) {
		u.TeamID, u.ID, u.Name, u.RealName, u.TZ = team, id, name, realName, zone
		s.AddUser(u)
	}

	s.AddWorkspace(Workspace{ID: NorthwindSales, Name: "Northwind Sales", Domain: "northwind-sales",
		EnterpriseID: Northwind, EnterpriseName: "Northwind"})
	add(NorthwindSales, NorthwindOrgAdmin, "nora", "Nora Feld", "Europe/Oslo", User{OrgAdmin: true})
	add(NorthwindSales, SalesAdmin, "tomas", "Tomás Rivera", "America/Chicago", User{Admin: true})
	add(NorthwindSales, SalesMember, "priya", "Priya Nair", "Asia/Kolkata", User{})
	add(NorthwindSales, SalesGuest, "max", "Max Weber", "Europe/Zurich", User{Guest: true})
	s.AddChannel(Channel{ID: SalesGeneral, TeamID: NorthwindSales, Name: "general",
		Members: []string{NorthwindOrgAdmin, SalesAdmin, SalesMember}})
	s.AddChannel(Channel{ID: NorthwindBirch, TeamID: NorthwindSales, Name: "northwind-birch", SharedWith: []string{Birch},
		Members: []string{SalesAdmin, SalesMember, SalesGuest, BirchMember}})

	s.AddWorkspace(Workspace{ID: NorthwindLabs, Name: "Northwind Labs", Domain: "northwind-labs",
		EnterpriseID: Northwind, EnterpriseName: "Northwind"})
	add(NorthwindLabs, LabsAdmin, "ada", "Ada Brandt", "Europe/Berlin", User{Admin: true})
	add(NorthwindLabs, LabsMember, "kofi", "Kofi Mensah", "Africa/Accra", User{})
	s.AddChannel(Channel{ID: LabsGeneral, TeamID: NorthwindLabs, Name: "general",
		Members: []string{LabsAdmin, LabsMember}})
}
