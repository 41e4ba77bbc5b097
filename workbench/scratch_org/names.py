"""The words that invented people are made of: names in their own script, with the letters their addresses use."""

from dataclasses import dataclass

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Group:
    """Names of one language: (as written, in ASCII letters)."""

    weight: int
    first: Pairs
    last: Pairs
    last_first: bool = False


def _pairs(text: str) -> Pairs:
    words = (w.partition(":") for w in text.split())
    return tuple((written, letters or written.lower()) for written, _, letters in words)


GROUPS = (
    Group(
        30,
        _pairs("Alice Benjamin Charlotte Daniel Emma Frederick Grace Henry Isla Jack Katherine Liam Mia Noah Olivia Peter"),
        _pairs(
            "Archer Bennett Collins Dawson Ellis Foster Graham Hughes Irving Jenkins Kelly Lawson Mason O'Neill:oneill Parker"
        ),
    ),
    Group(
        14,
        _pairs("Anna Björn:bjoern Cäcilie:caecilie Dieter Elke Friedrich Grete Jürgen:juergen Käthe:kaethe Lukas Uwe Zoë:zoe"),
        _pairs("Müller:mueller Weiß:weiss Schröder:schroeder Großmann:grossmann Bäcker:baecker Köhler:koehler Vogel Lange"),
    ),
    Group(
        12,
        _pairs("Élodie:elodie François:francois Aïcha:aicha Noël:noel Chloé:chloe Rémi:remi Benoît:benoit Margaux Gaëlle:gaelle"),
        _pairs("Lefèvre:lefevre Beaumont Garçon:garcon Hénault:henault D'Arcy:darcy Rousseau Çelik:celik Prévost:prevost"),
    ),
    Group(
        10,
        _pairs("José:jose María:maria Íñigo:inigo Núria:nuria João:joao Conceição:conceicao Ángel:angel Lucía:lucia"),
        _pairs("García:garcia Muñoz:munoz Peña:pena Gonçalves:goncalves Ibáñez:ibanez Araújo:araujo López:lopez Simões:simoes"),
    ),
    Group(
        8,
        _pairs(
            "Łukasz:lukasz Žofie:zofie Dvořák:dvorak Ștefan:stefan Győző:gyozo Małgorzata:malgorzata Željka:zeljka Ágnes:agnes"
        ),
        _pairs(
            "Wójcik:wojcik Nováková:novakova Țepeș:tepes Szűcs:szucs Šimić:simic Kowalczyk Řezníček:reznicek Đorđević:dordevic"
        ),
    ),
    Group(
        6,
        _pairs("Åsa:asa Søren:soren Þóra:thora Märta:marta Øystein:oystein Aino Jüri:juri Ærlend:aerlend"),
        _pairs("Ångström:angstrom Sørensen:sorensen Þórsson:thorsson Mäkinen:makinen Bjørge:bjorge Õunapuu:ounapuu Strand"),
    ),
    Group(
        6,
        _pairs("Олена:olena Дмитро:dmytro Ирина:irina Сергей:sergey Наталія:nataliia Борис:boris Ганна:hanna Юлия:yulia"),
        _pairs("Шевченко:shevchenko Ковальчук:kovalchuk Соколова:sokolova Мельник:melnyk Петров:petrov Їжакевич:yizhakevych"),
    ),
    Group(
        4,
        _pairs("Ελένη:eleni Γιώργος:giorgos Αθηνά:athina Δημήτρης:dimitris Σοφία:sofia Νίκος:nikos"),
        _pairs("Παπαδόπουλος:papadopoulos Νικολάου:nikolaou Γεωργίου:georgiou Οικονόμου:oikonomou Βασιλείου:vasileiou"),
    ),
    Group(
        4,
        _pairs("伟:wei 芳:fang 秀英:xiuying 敏:min 静:jing 强:qiang 磊:lei 洋:yang"),
        _pairs("王:wang 李:li 张:zhang 刘:liu 陈:chen 欧阳:ouyang 黄:huang 赵:zhao"),
        last_first=True,
    ),
    Group(
        3,
        _pairs("さくら:sakura 健太:kenta 陽子:yoko 翔:sho ユリ:yuri 大輔:daisuke"),
        _pairs("佐藤:sato 鈴木:suzuki 高橋:takahashi 渡辺:watanabe 伊藤:ito 小林:kobayashi"),
        last_first=True,
    ),
    Group(
        3,
        _pairs("محمد:mohammed فاطمة:fatima أحمد:ahmed ليلى:layla يوسف:youssef نور:nour"),
        _pairs("الحسن:alhassan خوري:khoury حداد:haddad منصور:mansour صالح:saleh"),
    ),
)

CITIES = (
    "Aberdeen", "Bergamo", "Coimbra", "Dresden", "Esbjerg", "Fukuoka", "Ghent", "Halifax", "Izmir", "Jaipur", "Kaunas",
    "Lviv", "Mendoza", "Nairobi", "Oulu", "Porto", "Quito", "Rotterdam", "Sapporo", "Turin", "Uppsala", "Varna",
)  # fmt: skip
TRADES = (
    "Analytics", "Bearings", "Ceramics", "Dairy", "Energy", "Foods", "Glass", "Hotels", "Instruments", "Logistics",
    "Machines", "Optics", "Paper", "Robotics", "Shipping", "Textiles", "Water",
)  # fmt: skip
TITLES = ("Buyer", "Chief Engineer", "Controller", "Head of Sales", "Office Manager", "Owner", "Plant Manager", "VP Marketing")
USERS = (
    "Olga Admin", "Priya Natarajan", "Tomás Herrera", "Ingrid Dahl", "Sam Okafor", "Marketing Automation", "Web Form",
)  # fmt: skip
