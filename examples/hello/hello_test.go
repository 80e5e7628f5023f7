package main

import (
	"testing"

	"github.com/switchboard-go/switchboard/bot/bottest"
)

func TestHello(t *testing.T) {
	s := bottest.New(t, handlers...)
	s.As(bottest.Member).Mention("#general", "hello")
	s.Posted("#general").Want("Hey <@" + bottest.Member.ID + ">!")
}
