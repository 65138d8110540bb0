import java.io.File;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Properties;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** Kafka Streams doing what work.py does: one thread, state in memory with a changelog, exactly once. */
public final class KafkaStreamsPeer {
    private static final double THRESHOLD = 20.0;
    private static final String[] GROUPS = {"web", "content"};
    private static final double[] HALF_LIVES = {30 * 86_400_000.0, 60 * 86_400_000.0};
    private static final int HEADER = 10;
    private static long done = 0;
    private static long tellAt = 0;

    public static void main(String[] args) throws Exception {
        String bootstrap = args[0], group = args[1], folder = args[2];
        Schema schema = new Schema.Parser().parse(new File(args[3]));
        Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, group);
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        config.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        config.put(StreamsConfig.STATE_DIR_CONFIG, folder);
        config.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        config.put(StreamsConfig.consumerPrefix("max.poll.records"), 2000);
        config.put(StreamsConfig.producerPrefix("compression.type"), "lz4");
        Topology topology = new Topology();
        topology.addSource("views", Serdes.String().deserializer(), Serdes.ByteArray().deserializer(), "page-views");
        topology.addProcessor("qualify", () -> new Qualify(schema), "views");
        topology.addStateStore(
            Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore("states"), Serdes.String(), Serdes.ByteArray())
                .withLoggingEnabled(new HashMap<>()),
            "qualify");
        topology.addSink(
            "out", group + "-out", Serdes.String().serializer(), Serdes.ByteArray().serializer(), "qualify");
        KafkaStreams streams = new KafkaStreams(topology, config);
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }

    private static final class Qualify implements Processor<String, byte[], String, byte[]> {
        private final GenericDatumReader<GenericRecord> reader;
        private BinaryDecoder decoder;
        private GenericRecord view;
        private ProcessorContext<String, byte[]> context;
        private KeyValueStore<String, byte[]> states;

        Qualify(Schema schema) {
            reader = new GenericDatumReader<>(schema);
        }

        @Override
        public void init(ProcessorContext<String, byte[]> context) {
            this.context = context;
            this.states = context.getStateStore("states");
        }

        @Override
        public void process(Record<String, byte[]> record) {
            byte[] value = record.value();
            decoder = DecoderFactory.get().binaryDecoder(value, HEADER, value.length - HEADER, decoder);
            try {
                view = reader.read(view, decoder);
            } catch (java.io.IOException error) {
                throw new IllegalStateException(error);
            }
            long at = (Long) view.get("occurred_at");
            String url = view.get("url").toString();
            int group = url.contains("/case-studies/") ? 1 : 0;
            double points = group == 1 ? 6.0 : url.contains("/pricing") ? 10.0 : 1.0;
            byte[] packed = states.get(record.key());
            double[] values = new double[GROUPS.length];
            long[] asOf = {at, at};
            if (packed != null) {
                ByteBuffer buffer = ByteBuffer.wrap(packed);
                for (int i = 0; i < GROUPS.length; i++) {
                    values[i] = buffer.getDouble();
                    asOf[i] = buffer.getLong();
                }
            }
            double before = 0.0;
            for (int i = 0; i < GROUPS.length; i++) {
                before += values[i] * Math.pow(2.0, (asOf[i] - at) / HALF_LIVES[i]);
            }
            values[group] = values[group] * Math.pow(2.0, (asOf[group] - at) / HALF_LIVES[group]) + points;
            asOf[group] = at;
            ByteBuffer buffer = ByteBuffer.allocate(GROUPS.length * 16);
            for (int i = 0; i < GROUPS.length; i++) {
                buffer.putDouble(values[i]).putLong(asOf[i]);
            }
            states.put(record.key(), buffer.array());
            if (before < THRESHOLD && THRESHOLD <= before + points) {
                String text = "{\"lead_id\": \"" + record.key() + "\", \"occurred_at\": " + at + "}";
                context.forward(record.withValue(text.getBytes(StandardCharsets.UTF_8)));
            }
            done++;
            long now = System.nanoTime();
            if (now >= tellAt) {
                tellAt = now + 250_000_000L;
                System.out.println("progress " + done);
            }
        }
    }
}
