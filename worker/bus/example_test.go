package bus_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
)

// A stream is declared, filled, taken by a consumer with two slots, and read backwards.
func Example() {
	dir, err := os.MkdirTemp("", "bus")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	server, err := bus.StartServer(ctx, bus.ServerOptions{Dir: dir})
	if err != nil {
		panic(err)
	}
	defer server.Shutdown()
	b, err := bus.Connect(ctx, bus.Options{Server: server})
	if err != nil {
		panic(err)
	}
	defer b.Close()

	stream := b.StreamName("GREETINGS")
	if err := b.DeclareStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{b.Subject("greetings", ">")}}); err != nil {
		panic(err)
	}
	for _, word := range []string{"hello", "world"} {
		if err := b.Publish(ctx, &nats.Msg{Subject: b.Subject("greetings", "en"), Data: []byte(word)}, ""); err != nil {
			panic(err)
		}
	}

	taking, stop := context.WithCancel(ctx)
	words := make(chan string, 2)
	bus.Consumption{
		Declare: func(ctx context.Context) (jetstream.Consumer, error) {
			return b.DeclareConsumer(ctx, stream, jetstream.ConsumerConfig{Durable: "reader", AckPolicy: jetstream.AckExplicitPolicy})
		},
		Slots: 2, Confirm: true, Drain: time.Second,
	}.Run(taking, func(_ context.Context, d bus.Delivery) bus.Settlement {
		words <- string(d.Data)
		if len(words) == cap(words) {
			stop()
		}
		return bus.Ack()
	})
	fmt.Println(len(words), "words taken")

	err = b.Backwards(ctx, bus.Read{Stream: stream}, func(m bus.Message) (more bool, err error) {
		fmt.Println(m.Sequence, string(m.Data))
		return true, nil
	})
	if err != nil {
		panic(err)
	}
	// Output:
	// 2 words taken
	// 2 world
	// 1 hello
}
