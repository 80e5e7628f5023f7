package main

import (
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot/bottest"
)

// Somebody is added, somebody else takes over, and the Home tab knows.
func TestRota(t *testing.T) {
	t.Parallel()
	s := bottest.New(t, handlers...)
	leon := s.As(bottest.Member)
	leon.Command("#general", "/oncall show api")
	leon.Reads("#general").Want("Nobody is on call there")

	leon.Command("#general", "/oncall add")
	leon.Modal().Want("Service")
	if found := leon.Options("", "service", "b"); len(found) != 1 || found[0].Value != "billing" {
		t.Errorf("the menu offers %v", found)
	}
	leon.Options("", "service", "a")
	leon.Submit(map[string]string{"service": "api", "person": bottest.Member.ID})
	leon.Modal().Want("<@" + bottest.Member.ID + "> is on the list for api.")
	leon.Close()

	leon.Command("#general", "/oncall show api")
	s.Posted("#general").Want("<@" + bottest.Member.ID + "> is on call for api.")
	s.As(bottest.Admin).Press("#general", "oncall.take")
	s.Posted("#general").Shows("<@" + bottest.Admin.ID + "> is on call for api.")
	leon.OpenHome()
	leon.Home().Want("api: <@" + bottest.Admin.ID + ">, <@" + bottest.Member.ID + ">")
}

// Who is on call hears of it in the morning.
func TestReminder(t *testing.T) {
	t.Parallel()
	s := bottest.New(t, handlers...)
	leon := s.As(bottest.Member)
	leon.Command("#general", "/oncall add")
	leon.Options("", "service", "w")
	leon.Submit(map[string]string{"service": "website", "person": bottest.Member.ID})
	leon.Modal().Want("is on the list for website")
	leon.Reads("").Nothing()

	s.Advance(4 * 24 * time.Hour) // over a weekend, if need be: what was missed is made up for once
	leon.Reads("").Want("You're on call for website today.")
	leon.Reads("").Nothing()
}

func TestNobodyTwice(t *testing.T) {
	t.Parallel()
	s := bottest.New(t, handlers...)
	dana := s.As(bottest.Admin)
	for _, says := range []string{"is on the list for search", "person: They are on this list already."} {
		dana.Command("#general", "/oncall add")
		dana.Options("", "service", "s")
		dana.Submit(map[string]string{"service": "search", "person": bottest.Admin.ID})
		dana.Modal().Want(says)
		dana.Close()
	}
}

// What isn't known is answered with what there is.
func TestHelp(t *testing.T) {
	t.Parallel()
	s := bottest.New(t, handlers...)
	s.As(bottest.Guest).Command("#shared", "/oncall hlep")
	s.As(bottest.Guest).Reads("#shared").Want("I don't know “hlep”.…/oncall show service…/oncall add")
}
