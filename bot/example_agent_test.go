package bot_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/slacksim"
)

// ask writes to the agent and waits for the answer, which is in the thread of what was written.
func (r *rehearsal) ask(text string) (root, answer string) {
	root = ask(r, r.scene, "", text)
	err := r.sim.WaitFor(ctx, func() bool {
		answer = strings.Join(thread(r.scene, root), "\n")
		return answer != "" && status(r.scene, root) != "processing"
	})
	if err != nil {
		panic(err)
	}
	return root, answer
}

// must panics where an Example went wrong.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// An agent answers in the thread of what somebody wrote. While it works, the session says so.
func ExampleOnAgentMessage() {
	agent := bot.OnAgentMessage("", func(ctx context.Context, t *bot.Thread) error {
		_, err := t.Say(ctx, bot.Text("You said: "+t.Text))
		return err
	})

	team := rehearse(agent)
	defer team.end()
	_, answer := team.ask("hello")
	fmt.Println(answer)
	// Output: You said: hello
}

// Who opens the conversation is offered something to say.
func ExampleOnAgentOpened() {
	opened := make(chan bool)
	welcome := bot.OnAgentOpened(func(ctx context.Context, t *bot.Thread) error {
		defer close(opened)
		return t.Suggest(ctx, "Ask me", bot.Prompt{Title: "What is new?", Message: "What is new today?"})
	})

	team := rehearse(welcome)
	defer team.end()
	must(team.sim.Agents.Open(ctx, person))
	<-opened
	fmt.Println(team.sim.Agents.Prompts(person).Prompts[0].Message)
	// Output: What is new today?
}

// What the person looks at beside the conversation can be what they ask about.
func ExampleOnAgentContext() {
	seen := make(chan string)
	look := bot.OnAgentContext(func(_ context.Context, t *bot.Thread) error {
		for _, e := range t.Context {
			seen <- e.Type
		}
		return nil
	})

	team := rehearse(look)
	defer team.end()
	channel := slacksim.Entity{Type: slacksim.EntityChannel, Value: slacksim.AcmeGeneral}
	must(team.sim.Agents.ChangeContext(ctx, person, channel))
	fmt.Println(<-seen)
	// Output: slack#/types/channel_id
}

// The app says itself that it was stopped. The work has ended by then: its context did.
func ExampleOnAgentStopped() {
	begun := make(chan bool)
	work := bot.OnAgentMessage("", func(ctx context.Context, _ *bot.Thread) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	})
	stopped := bot.OnAgentStopped(func(ctx context.Context, t *bot.Thread) error {
		_, err := t.Say(ctx, bot.Text("I stopped. What shall I do instead?"))
		return err
	})

	team := rehearse(work, stopped)
	defer team.end()
	root := ask(team, team.scene, "", "Count to a million")
	<-begun
	must(team.sim.Agents.Stop(ctx, person, team.sim.DM(person), root))
	must(team.sim.WaitFor(ctx, func() bool { return len(thread(team.scene, root)) > 0 }))
	fmt.Println(thread(team.scene, root)[0])
	// Output: I stopped. What shall I do instead?
}

// A person gives the session a name of their own.
func ExampleOnAgentTitle() {
	named := make(chan string)
	agent := bot.OnAgentMessage("", func(ctx context.Context, t *bot.Thread) error {
		if err := t.Title(ctx, "A question"); err != nil {
			return err
		}
		_, err := t.Say(ctx, bot.Text("Yes."))
		return err
	})
	title := bot.OnAgentTitle(func(_ context.Context, t *bot.Thread) error {
		named <- t.OldTitle + " is now " + t.NewTitle
		return nil
	})

	team := rehearse(agent, title)
	defer team.end()
	root, _ := team.ask("Is it raining?")
	must(team.sim.Agents.Rename(ctx, person, team.sim.DM(person), root, "Weather"))
	fmt.Println(<-named)
	// Output: A question is now Weather
}

// What the person adds while the agent works reaches the handler that works.
func ExampleThread_Joined() {
	begun := make(chan bool)
	agent := bot.OnAgentMessage("", func(ctx context.Context, t *bot.Thread) error {
		close(begun)
		more := <-t.Joined()
		_, err := t.Say(ctx, bot.Text(t.Text+" "+more.Text+" Done."))
		return err
	}, bot.WhileBusy(bot.Join))

	team := rehearse(agent)
	defer team.end()
	root := ask(team, team.scene, "", "Book a table.")
	<-begun
	ask(team, team.scene, root, "For four.")
	must(team.sim.WaitFor(ctx, func() bool { return len(thread(team.scene, root)) > 0 }))
	fmt.Println(thread(team.scene, root)[0])
	// Output: Book a table. For four. Done.
}

// An answer is written as it comes. A handler that runs again finds what it wrote before and goes on from there.
func ExampleThread_Stream() {
	model := []string{"It ", "is ", "**sunny**", " in ", "Lisbon."}
	agent := bot.OnAgentMessage("", func(ctx context.Context, t *bot.Thread) error {
		answer, err := t.Stream(ctx)
		if err != nil || answer.Closed() {
			return err
		}

		said := answer.Written()
		for _, word := range model {
			if rest, again := strings.CutPrefix(said, word); again {
				said = rest
				continue
			}
			if err := answer.Write(ctx, word); err != nil {
				return err
			}
		}
		return answer.Close(ctx, t.FeedbackButtons())
	})

	team := rehearse(agent)
	defer team.end()
	_, answer := team.ask("How is the weather?")
	fmt.Println(answer)
	// Output: It is *sunny* in Lisbon.
}

// Below an answer there can be a thumb up and a thumb down.
func ExampleOnFeedback() {
	agent := bot.OnAgentMessage("", func(ctx context.Context, t *bot.Thread) error {
		answer, err := t.Stream(ctx)
		if err != nil {
			return err
		}
		if err := answer.Write(ctx, "42"); err != nil {
			return err
		}
		return answer.Close(ctx, t.FeedbackButtons())
	})
	liked := make(chan bool, 1)
	feedback := bot.OnFeedback(func(_ context.Context, f *bot.Feedback) error {
		liked <- f.Good
		return nil
	})

	team := rehearse(agent, feedback)
	defer team.end()
	root, _ := team.ask("What is the answer?")
	dm := team.sim.DM(person)
	for _, m := range team.sim.Messages(dm, person) {
		if m.BotID != "" && m.ThreadTS == root {
			_, err := team.sim.Agents.Feedback(ctx, person, dm, m.TS, true)
			must(err)
		}
	}
	fmt.Println(<-liked)
	// Output: true
}
