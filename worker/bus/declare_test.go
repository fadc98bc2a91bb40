package bus_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"postlink/worker/bus"
)

func TestAnotherApplicationsStreamsAndBucketsAreRefusedAndKeepTheirSettings(t *testing.T) {
	t.Parallel()
	server := start(t, bus.ServerOptions{})
	js := another(t, server)
	b := connect(t, bus.Options{Server: server})
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "POSTLINK_EVENTS", Subjects: []string{"theirs.>"}, MaxAge: time.Hour, MaxMsgs: 10,
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "postlink_catalog", History: 7, TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: "postlink_files", TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	name := declare(t, b, "POSTS") // ours, with a consumer of theirs
	if _, err := js.CreateConsumer(t.Context(), name, jetstream.ConsumerConfig{
		Durable: "postlink_match", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Hour,
	}); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		stream  string
		declare func() error
	}{
		"stream": {"POSTLINK_EVENTS", func() error {
			return b.DeclareStream(t.Context(), jetstream.StreamConfig{Name: "POSTLINK_EVENTS", Subjects: []string{b.Subject("events", ">")}, MaxAge: bus.Day})
		}},
		"bucket": {"KV_postlink_catalog", func() error {
			_, err := b.DeclareBucket(t.Context(), jetstream.KeyValueConfig{Bucket: "catalog"})
			return err
		}},
		"object store": {"OBJ_postlink_files", func() error {
			_, err := b.DeclareObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: "files"})
			return err
		}},
		"consumer": {name, func() error {
			_, err := b.DeclareConsumer(t.Context(), name, jetstream.ConsumerConfig{
				Durable: "postlink_match", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Second,
			})
			return err
		}},
	}
	for what, test := range tests {
		before := settings(t, js, test.stream)
		err := test.declare()
		if !errors.Is(err, bus.ErrForeign) || !strings.Contains(err.Error(), "declare "+what) || !strings.Contains(err.Error(), "nats.namespace") {
			t.Errorf("%s: error %v", what, err)
		}
		if diff := cmp.Diff(before, settings(t, js, test.stream)); diff != "" {
			t.Errorf("the %s was changed (-before +after):\n%s", what, diff)
		}
	}
}

// A command beside the workers does not know their settings: it changes nothing, and makes only what is missing.
func TestAGuestLeavesWhatExistsAsItIs(t *testing.T) {
	t.Parallel()
	server := start(t, bus.ServerOptions{})
	js := another(t, server)
	declare := func(b *bus.Bus, age time.Duration) {
		t.Helper()
		stream := jetstream.StreamConfig{Name: "POSTLINK_DEAD", Subjects: []string{b.Subject("dead", ">")}, MaxAge: age}
		err := b.DeclareStream(t.Context(), stream)
		kv, kvErr := b.DeclareBucket(t.Context(), jetstream.KeyValueConfig{Bucket: "ledger", TTL: age})
		store, storeErr := b.DeclareObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: "blobs", TTL: age})
		consumer, consumerErr := b.DeclareConsumer(t.Context(), stream.Name, jetstream.ConsumerConfig{Durable: "postlink_x", AckWait: age})
		if err := errors.Join(err, kvErr, storeErr, consumerErr); err != nil {
			t.Fatal(err)
		}
		_, putErr := kv.PutString(t.Context(), "key", "value")
		_, storeErr = store.PutString(t.Context(), "name", "content")
		if err := errors.Join(putErr, storeErr); err != nil {
			t.Errorf("what is declared cannot be used: %v", err)
		}
		if info := consumer.CachedInfo(); info.Stream != stream.Name {
			t.Errorf("consumer of %s", info.Stream)
		}
	}
	all := func() []any {
		var list []any
		for _, name := range []string{"POSTLINK_DEAD", bus.BucketStream("postlink_ledger"), "OBJ_postlink_blobs"} {
			list = append(list, settings(t, js, name))
		}
		return list
	}
	guest := connect(t, bus.Options{Server: server, Guest: true})
	declare(guest, time.Hour)
	made := all()
	declare(guest, 2*time.Hour)
	if diff := cmp.Diff(made, all()); diff != "" {
		t.Errorf("a guest changed what exists (-before +after):\n%s", diff)
	}
	declare(connect(t, bus.Options{Server: server}), 3*time.Hour)
	if diff := cmp.Diff(made, all()); diff == "" {
		t.Error("a worker left what exists as it was")
	}
}

func TestStreamsOfOthersUnderANameOfOursAreRefused(t *testing.T) {
	t.Parallel()
	server := start(t, bus.ServerOptions{})
	js := another(t, server)
	b := connect(t, bus.Options{Server: server})
	if err := b.DeclareStream(t.Context(), jetstream.StreamConfig{Name: "POSTLINK_OUTBOX_contoso", Subjects: []string{b.Subject("outbox", "contoso")}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Claim(t.Context(), "POSTLINK_OUTBOX_"); err != nil {
		t.Errorf("only ours: %v", err)
	}
	for _, name := range []string{"POSTLINK_OUTBOX_mail", "MAIL"} {
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{"theirs." + name}}); err != nil {
			t.Fatal(err)
		}
	}
	err := b.Claim(t.Context(), "POSTLINK_OUTBOX_")
	if !errors.Is(err, bus.ErrForeign) || !strings.Contains(err.Error(), "application, POSTLINK_OUTBOX_mail:") {
		t.Errorf("one of somebody else: error %v", err)
	}
}

// settings are those of a stream and of its consumers.
func settings(t *testing.T, js jetstream.JetStream, name string) map[string]any {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{name: stream.CachedInfo().Config}
	for info := range stream.ListConsumers(t.Context()).Info() {
		all[info.Name] = info.Config
	}
	return all
}

func TestOursIsBroughtToTheWantedLimits(t *testing.T) {
	t.Parallel()
	server := start(t, bus.ServerOptions{})
	js := another(t, server)
	b := connect(t, bus.Options{Server: server})
	for _, age := range []time.Duration{time.Hour, 2 * time.Hour} {
		if err := b.DeclareStream(t.Context(), jetstream.StreamConfig{Name: "POSTLINK_DEAD", Subjects: []string{b.Subject("dead", ">")}, MaxAge: age}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.DeclareBucket(t.Context(), jetstream.KeyValueConfig{Bucket: "ledger", TTL: age}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.DeclareObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: "blobs", TTL: age}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.DeclareConsumer(t.Context(), "POSTLINK_DEAD", jetstream.ConsumerConfig{Durable: "postlink_x", AckWait: age}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"POSTLINK_DEAD", bus.BucketStream("postlink_ledger"), "OBJ_postlink_blobs"} {
		info, ours, err := b.StreamInfo(t.Context(), name)
		if err != nil || info == nil || !ours {
			t.Fatalf("%s: ours %v, error %v", name, ours, err)
		}
		if info.Config.MaxAge != 2*time.Hour || info.Config.Metadata["postlink"] != "1" || info.Config.Storage != jetstream.FileStorage {
			t.Errorf("%s has %+v", name, info.Config)
		}
	}
	consumer, err := js.Consumer(t.Context(), "POSTLINK_DEAD", "postlink_x")
	if err != nil || consumer.CachedInfo().Config.AckWait != 2*time.Hour {
		t.Errorf("consumer %+v, error %v", consumer, err)
	}
}

func TestSubjectsThatAnotherStreamTakesAreNamedWithWhatToDo(t *testing.T) {
	t.Parallel()
	server := start(t, bus.ServerOptions{})
	if _, err := another(t, server).CreateStream(t.Context(), jetstream.StreamConfig{Name: "ALL", Subjects: []string{"postlink.>"}}); err != nil {
		t.Fatal(err)
	}
	b := connect(t, bus.Options{Server: server})
	err := b.DeclareStream(t.Context(), jetstream.StreamConfig{Name: "POSTLINK_DEAD", Subjects: []string{"postlink.dead.>"}})
	if !errors.Is(err, bus.ErrOverlap) || !strings.Contains(err.Error(), "set another nats.namespace") || !strings.Contains(err.Error(), "postlink.dead.>") {
		t.Errorf("error %v", err)
	}
}

func TestStreamsAreLookedUpByNameAndSubject(t *testing.T) {
	t.Parallel()
	b := open(t)
	declare(t, b, "a")
	declare(t, b, "b")
	names, err := b.StreamsOf(t.Context(), b.Subject("a", "*"))
	if diff := cmp.Diff([]string{"POSTLINK_a"}, names); diff != "" || err != nil {
		t.Errorf("streams of a (-want +got):\n%s, error %v", diff, err)
	}
	if info, ours, err := b.StreamInfo(t.Context(), "POSTLINK_c"); info != nil || ours || err != nil {
		t.Errorf("a stream that is not there: %v, ours %v, error %v", info, ours, err)
	}
	if _, err := b.ConsumerInfo(t.Context(), "POSTLINK_a", "none"); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Errorf("a consumer that is not there: %v", err)
	}
}
