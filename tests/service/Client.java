import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;

/** Posts a file with Java's own client as it comes, which offers HTTP/2 with each request. */
public class Client {
    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        byte[] content = Files.readAllBytes(Path.of(arguments[1]));
        for (int k = 0; k < 4; k++) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0]))
                .header("Content-Type", "application/x-npy")
                .POST(k % 2 == 0
                    ? BodyPublishers.ofByteArray(content)
                    : BodyPublishers.ofInputStream(() -> new java.io.ByteArrayInputStream(content)))
                .build();
            var answer = client.send(request, BodyHandlers.ofString());
            System.out.println(answer.statusCode() + " " + answer.body());
        }
    }
}
